# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of what differs between encodings: bytes to sums over rows, sums to colours."""

from __future__ import annotations

PIXEL_SOURCE = r"""
__device__ inline float item(unsigned word, int index) {
#if ITEMSIZE == 4
    union { unsigned bits; float number; } word_as = {word};
    return word_as.number;
#else
    return word >> 8 * ITEMSIZE * index & (ITEMSIZE == 2 ? 0xFFFF : 0xFF);
#endif
}

// Weighed sums over rows of the items of one word.  Aligned, so that they move as vectors.
struct alignas(sizeof(float) * (ITEMS * SUMS < 4 ? ITEMS * SUMS : 4)) Column {
    float of[ITEMS * SUMS];
};

// The word of a row.  `at` is that of row 0 of the plane.
template <bool ALIGNED>
__device__ inline unsigned fetch(
    const unsigned char *at, const unsigned *last, const Parameters &p, int row) {
    return load<ALIGNED>(at + (long long)row * p.step, last);
}

// The weight of a row, as it is used.  As an integer: 255 times the sum of all fits 32 bits.
__device__ inline float row_weight(const Window &y, int row) {
#if KIND == DEPTH || KIND == BAYER
    return y.weight(row);
#else
    return floorf(y.weight(row) * (65535.0f * fminf(1.0f, 256.0f * y.inverse)) + 0.5f);
#endif
}

// Four rows of the picture, and their weights as the upper and lower bytes of 16-bit fractions.
// At the lower edge the four begin higher, and the rows that had their turn weigh nothing.
struct Quad { int start; unsigned high, low; };

__device__ inline Quad quad(const Window &y, const Parameters &p, int n) {
    const int begin = (KIND == YUV420 ? y.first & ~1 : y.first) + 4 * n;
    Quad found = {max(min(begin, p.source_h - 4), 0), 0, 0};
    for (int k = 0; k < 4; ++k) {
        const int row = found.start + k;
        if (row < begin || row < y.first || row >= y.end) continue;
        const unsigned fraction = (unsigned)row_weight(y, row);
        found.high |= (fraction >> 8) << 8 * k;
        found.low |= (fraction & 0xFF) << 8 * k;
    }
    return found;
}

__device__ inline int quad_count(const Window &y) {
    return (y.end - (KIND == YUV420 ? y.first & ~1 : y.first) + 3) / 4;
}

#if KIND == DEPTH
template <bool ALIGNED>
__device__ inline Column weighed(
    const unsigned char *at, const unsigned *last, const Parameters &p, const Window &y,
    const Quad *, int) {
    Column sums = {};
#pragma unroll 4
    for (int row = y.first; row < y.end; ++row) {
        const unsigned word = fetch<ALIGNED>(at, last, p, row);
        for (int k = 0; k < ITEMS; ++k) {
            const float number = item(word, k);
            const bool valid = number > 0.0f && number <= 3.402823466e38f;
            sums.of[2 * k] += valid ? row_weight(y, row) * number : 0.0f;
            sums.of[2 * k + 1] += valid ? row_weight(y, row) : 0.0f;
        }
    }
    return sums;
}
#elif KIND == BAYER
// Per item: itself and the sum of the two rows around it, over the rows with red and over those
// with blue.  The outermost rows are the ones next to them.
template <bool ALIGNED>
__device__ inline Column weighed(
    const unsigned char *at, const unsigned *last, const Parameters &p, const Window &y,
    const Quad *, int) {
    Column sums = {};
#pragma unroll 2
    for (int row = y.first; row < y.end; ++row) {
        const int inside = clamp(row, 1, p.source_h - 2);
        const unsigned here = fetch<ALIGNED>(at, last, p, inside);
        const unsigned above = fetch<ALIGNED>(at, last, p, inside - 1);
        const unsigned below = fetch<ALIGNED>(at, last, p, inside + 1);
        const float weight = row_weight(y, row);
        const float red = (inside & 1) == SECOND ? weight : 0.0f, blue = weight - red;
        for (int k = 0; k < ITEMS; ++k) {
            const float own = item(here, k), around = item(above, k) + item(below, k);
            sums.of[4 * k] += red * own;
            sums.of[4 * k + 1] += red * around;
            sums.of[4 * k + 2] += blue * own;
            sums.of[4 * k + 3] += blue * around;
        }
    }
    return sums;
}
#else
// Bytes of four rows at a time, as integers: fewer instructions than in floating point, and exact.
struct Sums { unsigned high[4], low[4]; };

__device__ inline void add(Sums &sums, const unsigned (&rows)[4], const Quad &weights) {
    // From a word per row to a word per byte of the row.
    const unsigned upper_even = __byte_perm(rows[0], rows[1], 0x5140);
    const unsigned upper_odd = __byte_perm(rows[0], rows[1], 0x7362);
    const unsigned lower_even = __byte_perm(rows[2], rows[3], 0x5140);
    const unsigned lower_odd = __byte_perm(rows[2], rows[3], 0x7362);
    const unsigned columns[4] = {
        __byte_perm(upper_even, lower_even, 0x5410), __byte_perm(upper_even, lower_even, 0x7632),
        __byte_perm(upper_odd, lower_odd, 0x5410), __byte_perm(upper_odd, lower_odd, 0x7632)};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        sums.high[k] = __dp4a(columns[k], weights.high, sums.high[k]);
        sums.low[k] = __dp4a(columns[k], weights.low, sums.low[k]);
    }
}

__device__ inline Column column_of(const Sums &sums) {
    Column column = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const float sum = 256u * sums.high[k] + sums.low[k];
        column.of[k / ITEMSIZE] += k % ITEMSIZE ? 256.0f * sum : sum;
    }
    return column;
}

// Where the rows of a quad lie, counted in bytes from its first.  Those that are not needed are
// the first once more: they weigh nothing.
struct Offsets { long long of[4]; };

__device__ inline Offsets row_offsets(const Parameters &p, int needed, int row_shift) {
    Offsets offsets = {};
    for (int k = 1; k < 4; ++k)
        offsets.of[k] = k < needed ? (k >> row_shift) * (long long)p.step : 0;
    return offsets;
}

template <bool ALIGNED>
__device__ inline void read(
    unsigned (&rows)[4], const unsigned char *at, const unsigned *last, const Offsets &offsets) {
#pragma unroll
    for (int k = 0; k < 4; ++k) rows[k] = load<ALIGNED>(at + offsets.of[k], last);
}

// The rows of some words of each thread are on their way at once.
template <bool ALIGNED>
__device__ inline void weigh_words(
    Column *line, const unsigned char *plane, const unsigned *last, const Parameters &p,
    int words, const Window &y, const Quad *quads, int row_shift) {
    const Quad only = quad(y, p, 0);
    const int count = SINGLE ? 1 : quad_count(y);
    const int needed = SINGLE ? y.end - only.start : min(4, p.source_h);
    const Offsets offsets = row_offsets(p, needed, row_shift);
    for (int begin = threadIdx.x; begin < words; begin += WORDS * blockDim.x) {
        Sums sums[WORDS] = {};
        for (int n = 0; n < count; ++n) {
            const Quad weights = SINGLE ? only : n < QUADS ? quads[n] : quad(y, p, n);
            const unsigned char *at = plane + (weights.start >> row_shift) * (long long)p.step;
            unsigned rows[WORDS][4];
#pragma unroll
            for (int k = 0; k < WORDS; ++k) {
                const int word = min(begin + k * (int)blockDim.x, words - 1);
                read<ALIGNED>(rows[k], at + 4 * word, last, offsets);
            }
#pragma unroll
            for (int k = 0; k < WORDS; ++k) add(sums[k], rows[k], weights);
        }
#pragma unroll
        for (int k = 0; k < WORDS; ++k) {
            const int word = begin + k * (int)blockDim.x;
            if (word < words) line[word] = column_of(sums[k]);
        }
    }
}
#endif

#if KIND == DEPTH || KIND == BAYER
template <bool ALIGNED>
__device__ inline void weigh_words(
    Column *line, const unsigned char *plane, const unsigned *last, const Parameters &p,
    int words, const Window &y, const Quad *quads, int row_shift) {
    for (int word = threadIdx.x; word < words; word += blockDim.x)
        line[word] = weighed<ALIGNED>(plane + 4 * word, last, p, y, quads, row_shift);
}
#endif

// Weigh the rows under one tensor row: neighbouring threads read neighbouring words of each.
__device__ inline void weigh_rows(
    Column *line, const unsigned char *plane, const unsigned *last, const Parameters &p,
    int items, const Window &y, const Quad *quads, int row_shift) {
    const int words = (items + ITEMS - 1) / ITEMS;
    if (((size_t)plane | p.step) % 4 == 0)
        weigh_words<true>(line, plane, last, p, words, y, quads, row_shift);
    else
        weigh_words<false>(line, plane, last, p, words, y, quads, row_shift);
}

// Add one column.  `column` is counted from the first in the line, `index` from the picture's.
__device__ inline void gather(
    float *value, const float *line, const float *chroma, int column, int index, int width,
    float weight) {
#if KIND == YUV422
    const float *pair = line + 2 * (column & ~1);
    value[0] += weight * pair[FIRST + 2 * (column & 1)];
    value[1] += weight * pair[SECOND];
    value[2] += weight * pair[THIRD];
#elif KIND == YUV420
    value[0] += weight * line[column];
    value[1] += weight * chroma[(column & ~1) + SECOND];
    value[2] += weight * chroma[(column & ~1) + THIRD];
#elif KIND == DEPTH
    value[0] += weight * line[2 * column];
    value[1] += weight * line[2 * column + 1];
#elif KIND == BAYER
    // Each colour is there, between two columns, between two rows, or between four pixels.
    const int inside = clamp(index, 1, width - 2);
    const float *own = line + 4 * (column + inside - index), *left = own - 4, *right = own + 4;
    const float red_row = left[0] + right[0], around_red = left[1] + right[1];
    const float blue_row = left[2] + right[2], around_blue = left[3] + right[3];
    if ((inside & 1) == FIRST) {
        value[0] += weight * (own[0] + 0.5f * own[3]);
        value[1] += weight * (own[2] + 0.25f * (own[1] + red_row));
        value[2] += weight * (0.25f * around_red + 0.5f * blue_row);
    } else {
        value[0] += weight * (0.5f * red_row + 0.25f * around_blue);
        value[1] += weight * (own[0] + 0.25f * (own[3] + blue_row));
        value[2] += weight * (0.5f * own[1] + own[2]);
    }
#else
    const float *pixel = line + column * CHANNELS;
    value[0] += weight * pixel[FIRST];
    value[1] += weight * pixel[SECOND];
    value[2] += weight * pixel[THIRD];
#endif
}

// From weighed sums to what the encoding means: red, green, blue, or one number.
__device__ inline void decode(float *value, const Parameters &p, float total) {
#if KIND == DEPTH
    // Less than that of valid depth is the rounding of a weight of zero.
    value[0] = value[1] > 1e-3f * total ? value[0] / value[1] * p.unit : 0.0f;
#else
    for (int k = 0; k < 3; ++k) value[k] *= p.unit / total;
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

``weigh_rows`` makes sums of the rows under a tensor row, ``gather`` adds those of a column to a
tensor pixel, ``decode`` makes colours, grey or metres of what was gathered.
"""
