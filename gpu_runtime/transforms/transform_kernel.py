# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the fused image transform, and the layout of its parameter block."""

from __future__ import annotations

import numpy as np

NAME = 'image_transform'
"""Name of the kernel in :data:`SOURCE`."""

BLOCK = (32, 8)
"""Threads per block, columns by rows: a warp writes 32 neighbours of one row."""

PARAMETERS = np.dtype(
    [
        ('step', np.int64),
        ('source_w', np.int32),
        ('source_h', np.int32),
        ('columns', np.int32),
        ('rows', np.int32),
        ('left', np.int32),
        ('top', np.int32),
        ('inner_w', np.int32),
        ('inner_h', np.int32),
        ('ratio_x', np.float32),
        ('ratio_y', np.float32),
        ('gain', np.float32, 3),
        ('bias', np.float32, 3),
        ('pad', np.float32),
    ],
    align=True,
)
"""``struct Parameters`` of the kernel; passed by value, so a launch uploads nothing."""

SOURCE = r"""
// Set at compile time:
//   CHANNELS             interleaved bytes per source pixel
//   FIRST SECOND THIRD   source channel of each output (of red, green, blue with LUMA)
//   OUTPUTS              output channels, 1 or 3
//   LUMA                 1: one output, BT.601 grey of FIRST, SECOND, THIRD
//   NHWC                 1: channels last, 0: planes
//   HALF                 1: float16, 0: float32
// No headers: the kernel compiles wherever NVRTC is, with or without a CUDA toolkit.

struct Parameters {
    long long step;
    int source_w, source_h, columns, rows, left, top, inner_w, inner_h;
    float ratio_x, ratio_y;
    float gain[3], bias[3];
    float pad;
};

#if HALF
typedef unsigned short Value;
__device__ inline Value cast(float value) {
    Value bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#else
typedef float Value;
__device__ inline Value cast(float value) { return value; }
#endif

// Two neighbours on one axis and the weight of the second, pixel centres at half integers.
struct Pair { int low, high; float weight; };

__device__ inline Pair neighbours(int index, float ratio, int size) {
    float position = ratio * (index + 0.5f) - 0.5f;
    position = position < 0.0f ? 0.0f : position;
    Pair pair;
    pair.low = min((int)position, size - 1);
    pair.high = min(pair.low + 1, size - 1);
    pair.weight = min(position - pair.low, 1.0f);
    return pair;
}

__device__ inline float mix(float low, float high, float weight) {
    return low + (high - low) * weight;
}

struct Sampler {
    const unsigned char *upper_left, *upper_right, *lower_left, *lower_right;
    float weight_x, weight_y;

    __device__ float operator()(int channel) const {
        return mix(mix(upper_left[channel], upper_right[channel], weight_x),
                   mix(lower_left[channel], lower_right[channel], weight_x), weight_y);
    }
};

__device__ inline Sampler sampler(
    const unsigned char *source, const Parameters &p, int column, int row) {
    const Pair x = neighbours(column, p.ratio_x, p.source_w);
    const Pair y = neighbours(row, p.ratio_y, p.source_h);
    const unsigned char *upper = source + y.low * p.step;
    const unsigned char *lower = source + y.high * p.step;
    const long long left = (long long)x.low * CHANNELS;
    const long long right = (long long)x.high * CHANNELS;
    return {upper + left, upper + right, lower + left, lower + right, x.weight, y.weight};
}

extern "C" __global__ void image_transform(
    const unsigned char *__restrict__ source, Value *__restrict__ tensor, const Parameters p) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= p.columns || row >= p.rows) return;

    float value[3] = {p.pad, p.pad, p.pad};
    const int x = column - p.left, y = row - p.top;
    if (x >= 0 && y >= 0 && x < p.inner_w && y < p.inner_h) {
        const Sampler sample = sampler(source, p, x, y);
#if LUMA
        value[0] = 0.299f * sample(FIRST) + 0.587f * sample(SECOND) + 0.114f * sample(THIRD);
#else
        value[0] = sample(FIRST);
        if (OUTPUTS == 3) {
            value[1] = sample(SECOND);
            value[2] = sample(THIRD);
        }
#endif
    }

    const long long pixel = (long long)row * p.columns + column;
    const long long plane = (long long)p.rows * p.columns;
    for (int output = 0; output < OUTPUTS; ++output) {
        const long long at = NHWC ? pixel * OUTPUTS + output : output * plane + pixel;
        tensor[at] = cast(value[output] * p.gain[output] + p.bias[output]);
    }
}
"""
"""One thread makes one tensor pixel, all of its channels."""
