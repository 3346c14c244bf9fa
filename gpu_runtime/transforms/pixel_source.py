# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the first pass of the image transform: from bytes to sums over rows."""

from __future__ import annotations

PIXEL_SOURCE = r"""
// Weighed sums over rows of the items of one word.  Aligned, so that they move as vectors.
struct alignas(sizeof(float) * (ITEMS * SUMS < 4 ? ITEMS * SUMS : 4)) Column {
    float of[ITEMS * SUMS];
};

#if KIND == DEPTH
__device__ inline float row_weight(const Window &y, int row) { return y.weight(row); }

__device__ inline float item(unsigned word, int index) {
#if ITEMSIZE == 4
    union { unsigned bits; float number; } word_as = {word};
    return word_as.number;
#else
    return word >> 16 * index & 0xFFFF;
#endif
}

template <bool ALIGNED>
__device__ inline void weigh_words(
    Column *line, Quad *, const unsigned char *source, const unsigned *last, const Parameters &p,
    int words, const Window &y) {
    __syncthreads();
    for (int word = threadIdx.x; word < words; word += THREADS) {
        Column sums = {};
#pragma unroll 4
        for (int row = y.first; row < y.end; ++row) {
            const unsigned char *at = source + (long long)row * p.step + 4 * word;
            const unsigned items = load<ALIGNED>(at, last);
            for (int k = 0; k < ITEMS; ++k) {
                const float number = item(items, k);
                const bool valid = number > 0.0f && number <= 3.402823466e38f;
                sums.of[2 * k] += valid ? row_weight(y, row) * number : 0.0f;
                sums.of[2 * k + 1] += valid ? row_weight(y, row) : 0.0f;
            }
        }
        line[word] = sums;
    }
}
#else
// The weight of a row as an integer: what is added up of them fits 16 bits for a row, and 255
// times the sum of all fits 32.  A row of chroma is two rows, one of Bayer stands in for three.
__device__ inline float row_scale(const Window &y) {
    return (KIND == BAYER ? 21845.0f : KIND == YUV420 ? 32767.0f : 65535.0f)
        * fminf(1.0f, 256.0f * y.inverse);
}

__device__ inline unsigned row_weight(const Window &y, int row) {
    return (unsigned)(y.weight(row) * row_scale(y) + 0.5f);
}

// Rows of a plane, by its own count.  Those of brightness and of chroma are planes, and so are the
// even and the odd rows of a Bayer picture, of which one more is needed on either side.
struct Rows { int first, end, size; };

__device__ inline Rows rows_of(const Window &y, const Parameters &p, int plane) {
#if KIND == BAYER
    const Window around = with_neighbours(y, p.source_h);
    return {(around.first + 1 - plane) >> 1, (around.end + 1 - plane) >> 1,
            (p.source_h + 1 - plane) >> 1};
#else
    if (plane == 0) return {y.first, y.end, p.source_h};
    return {y.first >> 1, (y.end + 1) >> 1, p.source_h >> 1};
#endif
}

__device__ inline unsigned fraction(
    const Window &y, const Parameters &p, int plane, int row, int set) {
#if KIND == BAYER
    const int place = 2 * row + plane;
    const float own = folded(y, place, p.source_h);
    const float around = folded(y, place - 1, p.source_h) + folded(y, place + 1, p.source_h);
    const float weight = set == 0 ? own + 0.5f * around : set == 1 ? own : around;
    return (unsigned)(weight * row_scale(y) + 0.5f);
#else
    if (plane == 0) return row_weight(y, row);
    return row_weight(y, 2 * row) + row_weight(y, 2 * row + 1);
#endif
}

// Two or four rows of a plane at a time.  At the lower edge they begin higher, and those that had
// their turn weigh nothing.
__device__ inline int quad_start(const Rows &rows, int n) {
    return max(min(rows.first + 4 * n, rows.size - READ), 0);
}

__device__ inline int quad_count(const Window &y, const Parameters &p) {
    int most = 0;
    for (int plane = 0; plane < PLANES; ++plane) {
        const Rows rows = rows_of(y, p, plane);
        most = max(most, (rows.end - rows.first + 3) / 4);
    }
    return most;
}

// The weights of two of its rows, in one word.
__device__ inline unsigned pair_of(
    const Window &y, const Parameters &p, int plane, int n, int half, int set) {
    const Rows rows = rows_of(y, p, plane);
    unsigned weights = 0;
    for (int k = 0; k < 2; ++k) {
        const int row = quad_start(rows, n) + 2 * half + k;
        if (row >= rows.first + 4 * n && row < rows.end)
            weights |= fraction(y, p, plane, row, set) << 16 * k;
    }
    return weights;
}

__device__ inline Quad quad_of(const Window &y, const Parameters &p, int plane, int n) {
    Quad found;
    for (int set = 0; set < SETS; ++set)
        for (int half = 0; half < 2; ++half)
            found.of[set][half] = pair_of(y, p, plane, n, half, set);
    return found;
}

// The block's threads work the weights out together.
__device__ inline void remember(Quad *quads, const Window &y, const Parameters &p, int count) {
    for (int n = threadIdx.x; n < 2 * PLANES * min(QUADS, count); n += THREADS)
        for (int set = 0; set < SETS; ++set)
            quads[n / 2].of[set][n % 2] =
                pair_of(y, p, n / 2 % PLANES, n / 2 / PLANES, n % 2, set);
}

// Bytes of two rows at a time, as integers: exact, and fewer instructions than floating point.
__device__ inline void add(
    unsigned (&sums)[4 * SUMS], unsigned upper, unsigned lower, const Quad &quad, int half,
    int plane) {
    const unsigned pairs[2] = {
        __byte_perm(upper, lower, 0x5140), __byte_perm(upper, lower, 0x7362)};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
#if KIND == BAYER
        const bool like = ((k & 1) == FIRST) == (plane == SECOND);  // columns: one colour, green
        const int from = like ? 0 : 1, to = like ? 1 : 3;
#else
        const int from = 0, to = 1;
#endif
        for (int set = from; set < to; ++set) {
            const unsigned weights = quad.of[set][half];
            unsigned &sum = sums[SUMS * k + set];
            sum = k % 2 ? __dp2a_hi(weights, pairs[k / 2], sum)
                        : __dp2a_lo(weights, pairs[k / 2], sum);
        }
    }
}

__device__ inline Column column_of(const unsigned (&sums)[4 * SUMS]) {
    Column column = {};
#pragma unroll
    for (int k = 0; k < 4 * SUMS; ++k) {
        const float sum = sums[k];
        column.of[k / ITEMSIZE] += k % ITEMSIZE ? 256.0f * sum : sum;
    }
    return column;
}

// Neighbouring threads read neighbouring words of each row.  All rows of some words of a thread
// are on their way at once, before it waits for the weights.
template <bool ALIGNED>
__device__ inline void weigh_words(
    Column *line, Quad *quads, const unsigned char *source, const unsigned *last,
    const Parameters &p, int words, const Window &y) {
    const int count = ROWS ? 1 : quad_count(y, p), own = threadIdx.x;
    for (int begin = 0; begin < words; begin += WORDS * THREADS) {
        unsigned sums[PLANES][WORDS][4 * SUMS] = {};
        for (int n = 0; n < count; ++n) {
            unsigned rows[PLANES][WORDS][READ];
#pragma unroll
            for (int plane = 0; plane < PLANES; ++plane) {
                const Rows of = rows_of(y, p, plane);
                const int start = quad_start(of, n);
                const long long step = KIND == BAYER ? 2ll * p.step : p.step;
                const long long skip = plane * (KIND == BAYER ? 1ll : p.source_h) * p.step;
                const unsigned char *at = source + skip + start * step;
#pragma unroll
                for (int row = 0; row < READ; ++row) {
                    // Those that are not needed are the first once more: they weigh nothing.
                    const long long skipped = start + row < of.end ? row * step : 0;
                    const unsigned char *from = at + skipped + 4 * (begin + own);
#pragma unroll
                    for (int k = 0; k < WORDS; ++k)
                        if (begin + own + k * THREADS < words)
                            rows[plane][k][row] = load<ALIGNED>(from + 4 * k * THREADS, last);
                }
            }
            if (begin == 0 && n == 0) __syncthreads();
#pragma unroll
            for (int plane = 0; plane < PLANES; ++plane) {
                const Quad quad =
                    ROWS || n < QUADS ? quads[PLANES * n + plane] : quad_of(y, p, plane, n);
#pragma unroll
                for (int k = 0; k < WORDS; ++k) {
                    if (begin + own + k * THREADS >= words) continue;
#pragma unroll
                    for (int half = 0; half < READ / 2; ++half)
                        add(sums[KIND == BAYER ? 0 : plane][k], rows[plane][k][2 * half],
                            rows[plane][k][2 * half + 1], quad, half, plane);
                }
            }
        }
#pragma unroll
        for (int k = 0; k < WORDS; ++k) {
            const int word = begin + own + k * THREADS;
            if (word >= words) continue;
            line[word] = column_of(sums[0][k]);
            if (KIND == YUV420) line[LINE + word] = column_of(sums[PLANES - 1][k]);
        }
    }
}
#endif

// Weigh the rows under one tensor row.
__device__ inline void weigh_rows(
    Column *line, Quad *quads, const unsigned char *source, const unsigned *last,
    const Parameters &p, int items, const Window &y) {
    const int words = (items + ITEMS - 1) / ITEMS;
    if (((size_t)source | p.step) % 4 == 0)
        weigh_words<true>(line, quads, source, last, p, words, y);
    else
        weigh_words<false>(line, quads, source, last, p, words, y);
}

// What the rows weigh in all.
__device__ inline float weight_of_rows(const Quad *quads, const Window &y) {
#if ROWS
    unsigned total = 0;
    for (int plane = 0; plane < (KIND == BAYER ? 2 : 1); ++plane)
        for (int half = 0; half < READ / 2; ++half) {
            const unsigned pair = quads[plane].of[KIND == BAYER ? 1 : 0][half];
            total += (pair & 0xFFFF) + (pair >> 16);
        }
    return total;
#else
    float total = 0.0f;
    for (int row = y.first; row < y.end; ++row) total += row_weight(y, row);
    return total;
#endif
}
"""
"""
Part of the source of the image transform, which declares what it uses.

``weigh_rows`` makes sums of the rows under a tensor row, in which all threads of a block wait for
each other once, before any of them writes sums.
"""
