# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the second pass of the image transform: from sums over rows to colours."""

from __future__ import annotations

COLUMN_SOURCE = r"""
// Numbers of the line that move as one.
struct alignas(16) Four { float of[4]; };
struct alignas(8) Two { float of[2]; };

// Columns of sums from `origin` on.
struct Line {
    const float *of;
    int origin;

    // Of a column, or with chroma of an even column and the next.
    __device__ const float *at(int column) const {
        return of + (column - origin) * (CHANNELS * SUMS);
    }
};

// Add one column.  In Bayer pictures `around` is what it weighs as a neighbour.
__device__ inline void gather(
    float (&value)[3], const Line &line, int column, float weight, float around) {
#if KIND == YUV422
    const float *pair = line.at(column & ~1);
    value[0] += weight * pair[FIRST + 2 * (column & 1)];
    value[1] += weight * pair[SECOND];
    value[2] += weight * pair[THIRD];
#elif KIND == YUV420
    const float *chroma = line.at(column & ~1) + LINE * ITEMS;
    value[0] += weight * line.at(column)[0];
    value[1] += weight * chroma[SECOND];
    value[2] += weight * chroma[THIRD];
#elif KIND == BAYER
    const float *sums = line.at(column);
    const float colour = (weight + 0.5f * around) * sums[0];
    value[0] += (column & 1) == FIRST ? colour : 0.0f;
    value[1] += (weight + 0.25f * around) * sums[1] + 0.25f * weight * sums[2];
    value[2] += (column & 1) == FIRST ? 0.0f : colour;
#elif KIND == DEPTH
    value[0] += weight * line.at(column)[0];
    value[1] += weight * line.at(column)[1];
#elif CHANNELS == 4
    const Four pixel = *(const Four *)line.at(column);
    value[0] += weight * pixel.of[FIRST];
    value[1] += weight * pixel.of[SECOND];
    value[2] += weight * pixel.of[THIRD];
#else
    value[0] += weight * line.at(column)[FIRST];
    if (CHANNELS == 1) return;
    value[1] += weight * line.at(column)[SECOND];
    value[2] += weight * line.at(column)[THIRD];
#endif
}

// Weigh the columns of any window from `begin` to `stop`.
__device__ inline void weigh_columns(
    float (&value)[3], float &total, const Line &line, const Window &x, const Parameters &p,
    int begin, int stop) {
    const Window all = with_neighbours(x, p.source_w);
#pragma unroll (TAPS ? 1 : 2)
    for (int column = max(all.first, begin); column < min(all.end, stop); ++column) {
        const float weight = folded(x, column, p.source_w);
        const float around =
            folded(x, column - 1, p.source_w) + folded(x, column + 1, p.source_w);
        total += weight;
        gather(value, line, column, weight, around);
    }
}

#if TAPS
// Weigh TAPS columns, all of which are in the line and in the picture; those outside of the window
// weigh nothing.
__device__ inline void weigh_taps(
    float (&value)[3], float &total, const Line &line, const Window &x) {
#if KIND == YUV422 || KIND == YUV420
    const int even = x.first & ~1;
    const float distance = even + x.offset;
    const float *at = line.at(even);
#pragma unroll
    for (int k = 0; k < TAPS + 2; k += 2) {
        const float left = x.weight_at(distance + k);
        const float right = k < TAPS ? x.weight_at(distance + k + 1) : 0.0f, both = left + right;
#if KIND == YUV422
        const Four pair = *(const Four *)(at + 2 * k);
        value[0] += left * pair.of[FIRST] + right * pair.of[FIRST + 2];
        value[1] += both * pair.of[SECOND];
        value[2] += both * pair.of[THIRD];
#else
        const Two pair = *(const Two *)(at + k), chroma = *(const Two *)(at + k + LINE * ITEMS);
        value[0] += left * pair.of[0] + right * pair.of[1];
        value[1] += both * chroma.of[SECOND];
        value[2] += both * chroma.of[THIRD];
#endif
        total += both;
    }
#elif KIND == BAYER
    const float distance = x.first + x.offset;
    const float *at = line.at(x.first - 1);
    float before = 0.0f, weight = 0.0f, colours[2] = {};
#pragma unroll
    for (int k = 0; k < TAPS + 2; ++k) {
        const float after = k < TAPS ? x.weight_at(distance + k) : 0.0f, around = before + after;
        const float *sums = at + 3 * k;
        colours[k & 1] += (weight + 0.5f * around) * sums[0];
        value[1] += (weight + 0.25f * around) * sums[1] + 0.25f * weight * sums[2];
        total += after;
        before = weight;
        weight = after;
    }
    const bool red = (x.first - 1 & 1) == FIRST;
    value[0] += red ? colours[0] : colours[1];
    value[2] += red ? colours[1] : colours[0];
#else
    const float distance = x.first + x.offset;
    const Line from = {line.at(x.first), 0};
#pragma unroll
    for (int k = 0; k < TAPS; ++k) {
        const float weight = x.weight_at(distance + k);
        total += weight;
        gather(value, from, k, weight, 0.0f);
    }
#endif
}
#endif

// From weighed sums to what the encoding means: red, green, blue, or one number.
__device__ inline void decode(float (&value)[3], const Parameters &p, float total) {
#if KIND == DEPTH
    // Less than that of valid depth is the rounding of a weight of zero.
    value[0] = value[1] > 1e-3f * total ? value[0] / value[1] * p.unit : 0.0f;
#else
    const float unit = __fdividef(p.unit, total);
    for (int k = 0; k < 3; ++k) value[k] *= unit;
#if KIND == GREY
    value[2] = value[1] = value[0];
#endif
#endif
#if KIND == YUV422 || KIND == YUV420
    const float y = 1.164f * fmaxf(value[0] - 16.0f, 0.0f);
    const float u = value[1] - 128.0f, v = value[2] - 128.0f;
    value[0] = fminf(fmaxf(y + 1.596f * v, 0.0f), 255.0f);
    value[1] = fminf(fmaxf(y - 0.391f * u - 0.813f * v, 0.0f), 255.0f);
    value[2] = fminf(fmaxf(y + 2.018f * u, 0.0f), 255.0f);
#endif
#if LUMA
    value[0] = 0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2];
#endif
#if SWAP
    const float red = value[0];
    value[0] = value[2];
    value[2] = red;
#endif
}
"""
"""
Part of the source of the image transform, which declares what it uses.

``weigh_columns`` and ``weigh_taps`` add the columns under a tensor pixel, ``decode`` makes
colours, grey or metres of them.
"""
