# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the kernel that pools each region from its own level of the pyramid."""

from __future__ import annotations

import numpy as np

from gpu_runtime.transforms.float_types import FLOAT_SOURCE

VECTORS = 'pool_vectors'
"""Name of the kernel for maps whose channels lie side by side (channels last)."""

STRIDED = 'pool_strided'
"""Name of the kernel for maps in any order."""

THREADS = 256
"""Threads per block of both kernels."""

MOST_LEVELS = 5
"""Levels that the parameter block has room for."""

VECTOR_NBYTES = 16
"""What a thread of the first kernel reads at once: a group of channels."""

SHARED_NBYTES = 48 * 1024
"""Shared memory that a block may have on every device."""

PARAMETERS = np.dtype(
    [
        (
            'levels',
            np.dtype(
                [
                    ('address', np.int64),
                    ('channel_step', np.int32),
                    ('row_step', np.int32),
                    ('column_step', np.int32),
                    ('height', np.int32),
                    ('width', np.int32),
                    ('scale', np.float32),
                ]
            ),
            MOST_LEVELS,
        ),
        ('channels', np.int32),
        ('finest', np.int32),
        ('coarsest', np.int32),
        ('canonical_level', np.int32),
        ('canonical_scale', np.float32),
        ('epsilon', np.float32),
    ],
    align=True,
)
"""``struct Parameters`` of the kernels, passed by value; steps are in elements."""

_HEAD = r"""
// Macros: TYPE as FLOAT_TYPES; ROWS, COLUMNS of a pooled region; SAMPLES per bin and
// axis; GROUPS of channels per block of pool_vectors.
const int BINS = ROWS * COLUMNS;

"""
_BODY = r"""
struct Level {
    const Value *map;
    int channel_step, row_step, column_step, height, width;
    float scale;
};
struct Parameters {
    Level levels[5];
    int channels, finest, coarsest, canonical_level;
    float canonical_scale, epsilon;
};
struct Region {
    Level level;
    float left, top, bin_width, bin_height;
};
struct Place {
    int low, high;
    float low_weight, high_weight;
    bool inside;
};
template <int WIDTH> struct alignas(WIDTH * sizeof(Value)) Pack { Value values[WIDTH]; };

// Source: torchvision's LevelMapper.  A box of no size, or of NaN, is of the finest level.
__device__ inline int level_of(const float *box, const Parameters &p) {
    const float side = sqrtf((box[2] - box[0]) * (box[3] - box[1]));
    const float level
        = floorf(p.canonical_level + log2f(side / p.canonical_scale) + p.epsilon);
    return (int)fminf(fmaxf(level, p.finest), p.coarsest) - p.finest;
}

// Source, down to the order of the operations: torchvision's roi_align, not aligned.
__device__ inline Region region_of(const float *box, const Parameters &p) {
    Region region;
    region.level = p.levels[level_of(box, p)];
    const float scale = region.level.scale;
    region.left = box[0] * scale;
    region.top = box[1] * scale;
    region.bin_width = fmaxf(box[2] * scale - region.left, 1) / COLUMNS;
    region.bin_height = fmaxf(box[3] * scale - region.top, 1) / ROWS;
    return region;
}

__device__ inline Place place_of(float at, int size) {
    Place place = {0, 0, 0, 0, at >= -1 && at <= size};
    if (!place.inside) return place;
    at = at > 0 ? at : 0;
    const int low = (int)at;
    place.low = low < size - 1 ? low : size - 1;
    place.high = low < size - 1 ? low + 1 : size - 1;
    place.high_weight = low < size - 1 ? at - low : 0;
    place.low_weight = 1 - place.high_weight;
    return place;
}

template <int WIDTH>
__device__ inline void add_sample(
    const Level &level, const Value *channel, const Place &y, const Place &x, float *sum) {
    const Value *upper = channel + (long long)y.low * level.row_step;
    const Value *lower = channel + (long long)y.high * level.row_step;
    const int left = x.low * level.column_step, right = x.high * level.column_step;
    const Pack<WIDTH> a = *(const Pack<WIDTH> *)(upper + left);
    const Pack<WIDTH> b = *(const Pack<WIDTH> *)(upper + right);
    const Pack<WIDTH> c = *(const Pack<WIDTH> *)(lower + left);
    const Pack<WIDTH> d = *(const Pack<WIDTH> *)(lower + right);
    const float of_a = y.low_weight * x.low_weight, of_b = y.low_weight * x.high_weight;
    const float of_c = y.high_weight * x.low_weight, of_d = y.high_weight * x.high_weight;
    for (int k = 0; k < WIDTH; ++k)
        sum[k] += of_a * widened(a.values[k]) + of_b * widened(b.values[k])
            + of_c * widened(c.values[k]) + of_d * widened(d.values[k]);
}

// Pool one bin of WIDTH channels that lie side by side, the first at `channel`.
template <int WIDTH>
__device__ inline void pool_bin(
    const Region &region, const Value *channel, int bin, float *sum) {
    const int row = bin / COLUMNS, column = bin % COLUMNS;
    for (int k = 0; k < WIDTH; ++k) sum[k] = 0;
    for (int j = 0; j < SAMPLES; ++j) {
        const Place y = place_of(
            region.top + row * region.bin_height + (j + 0.5f) * region.bin_height / SAMPLES,
            region.level.height);
        if (!y.inside) continue;
        for (int i = 0; i < SAMPLES; ++i) {
            const Place x = place_of(
                region.left + column * region.bin_width + (i + 0.5f) * region.bin_width / SAMPLES,
                region.level.width);
            if (x.inside) add_sample<WIDTH>(region.level, channel, y, x, sum);
        }
    }
    for (int k = 0; k < WIDTH; ++k) sum[k] /= SAMPLES * SAMPLES;
}

// Block (region, part of the channels).  Neighbouring threads read neighbouring channels, and
// write neighbouring bins: in between, the values cross in shared memory, where a group of
// channels is longer by one word so that the threads of a warp write into different banks.
extern "C" __global__ void __launch_bounds__(256, 4) pool_vectors(
    const float *boxes, Value *pooled, const Parameters p) {
    const int WIDTH = 16 / sizeof(Value), WORDS = BINS * 4;
    __shared__ unsigned staged[GROUPS * (WORDS + 1)];
    const Region region = region_of(boxes + blockIdx.x * 4, p);
    const int first = blockIdx.y * GROUPS, left = p.channels / WIDTH - first;
    const int groups = left < GROUPS ? left : GROUPS;
    for (int item = threadIdx.x; item < groups * BINS; item += blockDim.x) {
        const int group = item % groups, bin = item / groups;
        float sum[WIDTH];
        pool_bin<WIDTH>(region, region.level.map + (first + group) * WIDTH, bin, sum);
        Value *to = (Value *)(staged + group * (WORDS + 1)) + bin;
        for (int k = 0; k < WIDTH; ++k) to[k * BINS] = narrowed(sum[k]);
    }
    __syncthreads();
    const long long channel = (long long)blockIdx.x * p.channels + first * WIDTH;
    unsigned *to = (unsigned *)(pooled + channel * BINS);
    for (int word = threadIdx.x; word < groups * WORDS; word += blockDim.x)
        to[word] = staged[word + word / WORDS];
}

// Block (region, part of its values).  Neighbouring threads pool neighbouring bins.
extern "C" __global__ void pool_strided(
    const float *boxes, Value *pooled, const Parameters p) {
    const int values = p.channels * BINS;
    const int item = blockIdx.y * blockDim.x + threadIdx.x;
    if (item >= values) return;
    const Region region = region_of(boxes + blockIdx.x * 4, p);
    const long long channel = (long long)(item / BINS) * region.level.channel_step;
    float sum[1];
    pool_bin<1>(region, region.level.map + channel, item % BINS, sum);
    pooled[(long long)blockIdx.x * values + item] = narrowed(sum[0]);
}
"""

SOURCE = _HEAD + FLOAT_SOURCE + _BODY
"""Both kernels."""
