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
//   FIRST SECOND THIRD   source channel of each output (of red, green, blue with LUMA);
//                        equal ones (grey) are read once
//   OUTPUTS              output channels, 1 or 3
//   LUMA                 1: one output, BT.601 grey of FIRST, SECOND, THIRD
//   NHWC                 1: channels last, 0: planes
//   HALF                 1: float16, 0: float32
//   AVERAGE              1: an axis shrinks and is averaged, 0: two by two neighbours
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

#if AVERAGE
// Source pixels [first, end) on one axis under the triangle of one tensor pixel.  The window and
// the weights are those of torch's and PIL's antialiased bilinear; an axis that grows gets the
// two neighbours of plain bilinear.
struct Window {
    int first, end;
    float center, inverse;

    __device__ float weight(int index) const {
        return fmaxf(1.0f - fabsf(index + 0.5f - center) * inverse, 0.0f);
    }
};

__device__ inline Window window(int index, float ratio, int size) {
    const float support = fmaxf(ratio, 1.0f);
    const float center = ratio * (index + 0.5f);
    const int first = max((int)(center - support + 0.5f), 0);
    const int end = min((int)(center + support + 0.5f), size);
    return {first, end, center, 1.0f / support};
}

// Neighbouring threads read neighbouring windows, so a warp walks along rows that stay in L1.
__device__ inline void sample(
    const unsigned char *source, const Parameters &p, int column, int row, float *value) {
    const Window x = window(column, p.ratio_x, p.source_w);
    const Window y = window(row, p.ratio_y, p.source_h);
    float total = 0.0f, first = 0.0f, second = 0.0f, third = 0.0f;
    for (int j = y.first; j < y.end; ++j) {
        const unsigned char *pixel = source + j * p.step + (long long)x.first * CHANNELS;
        float row_total = 0.0f, row_first = 0.0f, row_second = 0.0f, row_third = 0.0f;
        for (int i = x.first; i < x.end; ++i, pixel += CHANNELS) {
            const float weight = x.weight(i);
            row_total += weight;
            row_first += weight * pixel[FIRST];
            row_second += weight * pixel[SECOND];
            row_third += weight * pixel[THIRD];
        }
        const float weight = y.weight(j);
        total += weight * row_total;
        first += weight * row_first;
        second += weight * row_second;
        third += weight * row_third;
    }
    value[0] = first / total;
    value[1] = second / total;
    value[2] = third / total;
}
#else
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

struct Corners {
    const unsigned char *upper_left, *upper_right, *lower_left, *lower_right;
    float weight_x, weight_y;

    __device__ float operator()(int channel) const {
        return mix(mix(upper_left[channel], upper_right[channel], weight_x),
                   mix(lower_left[channel], lower_right[channel], weight_x), weight_y);
    }
};

__device__ inline void sample(
    const unsigned char *source, const Parameters &p, int column, int row, float *value) {
    const Pair x = neighbours(column, p.ratio_x, p.source_w);
    const Pair y = neighbours(row, p.ratio_y, p.source_h);
    const unsigned char *upper = source + y.low * p.step;
    const unsigned char *lower = source + y.high * p.step;
    const long long left = (long long)x.low * CHANNELS;
    const long long right = (long long)x.high * CHANNELS;
    const Corners corners = {
        upper + left, upper + right, lower + left, lower + right, x.weight, y.weight};
    value[0] = corners(FIRST);
    value[1] = corners(SECOND);
    value[2] = corners(THIRD);
}
#endif

extern "C" __global__ void image_transform(
    const unsigned char *__restrict__ source, Value *__restrict__ tensor, const Parameters p) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= p.columns || row >= p.rows) return;

    float value[3] = {p.pad, p.pad, p.pad};
    const int x = column - p.left, y = row - p.top;
    if (x >= 0 && y >= 0 && x < p.inner_w && y < p.inner_h) {
        sample(source, p, x, y, value);
#if LUMA
        value[0] = 0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2];
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
