# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the fused image transform, and the layout of its parameter block."""

from __future__ import annotations

import numpy as np

NAME = 'image_transform'
"""Name of the kernel in :data:`SOURCE`."""

PIXELS = 2
"""Of a row that one thread makes."""

MOST_THREADS = 160
"""Of a block: a strip of 320 columns, half of the usual 640."""

PARAMETERS = np.dtype(
    [
        ('nbytes', np.int64),
        ('step', np.int32),
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
        ('support_x', np.float32),
        ('support_y', np.float32),
        ('unit', np.float32),
        ('gain', np.float32, 3),
        ('bias', np.float32, 3),
        ('pad', np.float32),
    ],
    align=True,
)
"""``struct Parameters`` of the kernel; passed by value, so a launch uploads nothing."""

SOURCE = r"""
// Set at compile time:
//   KIND                 one of the kinds below
//   CHANNELS ITEMSIZE    items per source pixel of a row, bytes per item
//   FIRST SECOND THIRD   Encoding.order
//   OUTPUTS              output channels, 1 or 3
//   LUMA                 1: one output, BT.601 grey of a colour
//   SWAP                 1: blue first
//   NHWC                 1: channels last, 0: planes
//   HALF                 1: float16, 0: float32
// No headers: the kernel compiles wherever NVRTC is, with or without a CUDA toolkit.
#define COLOUR 0
#define GREY 1
#define DEPTH 2
#define YUV422 3
#define YUV420 4
#define BAYER 5

#define PIXELS 2                                        // that one thread makes
#define SPAN 1024                                       // source columns weighed at a time
#define HALO (KIND == BAYER ? 4 : 0)                    // columns more on either side
#define SUMS (KIND == BAYER ? 4 : KIND == DEPTH ? 2 : 1)  // kept per item
#define ITEMS (4 / ITEMSIZE)                            // per word of four bytes
#define QUADS 64                                        // of row weights that are remembered

struct Parameters {
    long long nbytes;
    int step, source_w, source_h, columns, rows, left, top, inner_w, inner_h;
    float ratio_x, ratio_y, support_x, support_y, unit;
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

// Source pixels [first, end) on one axis under the triangle of one tensor pixel.  Averaging, the
// support is the ratio: window and weights are those of torch's and PIL's antialiased bilinear.
// With a support of 1 they are the two neighbours of plain bilinear.
struct Window {
    int first, end;
    float offset, inverse;  // half a pixel less the triangle's centre; one over support

    __device__ float weight(int index) const {
        return fmaxf(1.0f - fabsf(index + offset) * inverse, 0.0f);
    }
};

__device__ inline Window window(int index, float ratio, float support, int size) {
    const float center = ratio * (index + 0.5f);
    const int first = max((int)(center - support + 0.5f), 0);
    const int end = min((int)(center + support + 0.5f), size);
    return {first, end, 0.5f - center, 1.0f / support};
}

__device__ inline int clamp(int value, int low, int high) { return min(max(value, low), high); }

// Four bytes of the picture, the first of them inside it.  Elsewhere than at a multiple of four
// they are made of two aligned words, the second not beyond the last that the picture touches: an
// aligned word with one byte of the picture in it is memory of the picture's allocation.
template <bool ALIGNED>
__device__ inline unsigned load(const unsigned char *at, const unsigned *last) {
    if (ALIGNED) return __ldg((const unsigned *)at);
    const unsigned *low = (const unsigned *)((size_t)at & ~(size_t)3);
    const unsigned *high = low < last ? low + 1 : low;
    return __funnelshift_r(__ldg(low), __ldg(high), 8 * ((size_t)at & 3));
}

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

// The weight of a row, as it is used.
__device__ inline float row_weight(const Window &y, int row) {
#if KIND == DEPTH || KIND == BAYER
    return y.weight(row);
#else
    return floorf(y.weight(row) * 65535.0f + 0.5f);
#endif
}

// Weights of four rows as fractions of 16 bits, upper and lower bytes.
struct Quad { unsigned high, low; };

__device__ inline Quad quad(const Window &y, int first) {
    Quad found = {};
    for (int k = 0; k < 4 && first + k < y.end; ++k) {
        const unsigned fraction = (unsigned)row_weight(y, first + k);
        found.high |= (fraction >> 8) << 8 * k;
        found.low |= (fraction & 0xFF) << 8 * k;
    }
    return found;
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
// Bytes of four rows at a time, as integers: 16 instructions instead of 52 in floating point, and
// exact.  32768 rows of 255 by 255 fit an accumulator.
template <bool ALIGNED>
__device__ inline Column weighed(
    const unsigned char *at, const unsigned *last, const Parameters &p, const Window &y,
    const Quad *quads, int row_shift) {
    unsigned high[4] = {}, low[4] = {};
    for (int n = 0, first = y.first; first < y.end; ++n, first += 4) {
        unsigned rows[4];
#pragma unroll
        for (int k = 0; k < 4; ++k)
            rows[k] = fetch<ALIGNED>(at, last, p, min(first + k, y.end - 1) >> row_shift);
        const Quad weights = n < QUADS ? quads[n] : quad(y, first);
        // From a word per row to a word per byte of the row.
        const unsigned upper_even = __byte_perm(rows[0], rows[1], 0x5140);
        const unsigned upper_odd = __byte_perm(rows[0], rows[1], 0x7362);
        const unsigned lower_even = __byte_perm(rows[2], rows[3], 0x5140);
        const unsigned lower_odd = __byte_perm(rows[2], rows[3], 0x7362);
        const unsigned columns[4] = {
            __byte_perm(upper_even, lower_even, 0x5410),
            __byte_perm(upper_even, lower_even, 0x7632),
            __byte_perm(upper_odd, lower_odd, 0x5410),
            __byte_perm(upper_odd, lower_odd, 0x7632)};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            high[k] = __dp4a(columns[k], weights.high, high[k]);
            low[k] = __dp4a(columns[k], weights.low, low[k]);
        }
    }
    Column sums = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const float sum = 256.0f * high[k] + low[k];
        sums.of[k / ITEMSIZE] += k % ITEMSIZE ? 256.0f * sum : sum;
    }
    return sums;
}
#endif

// Weigh the rows under one tensor row: neighbouring threads read neighbouring words of each.
__device__ inline void weigh_rows(
    Column *line, const unsigned char *plane, const unsigned *last, const Parameters &p,
    int items, const Window &y, const Quad *quads, int row_shift) {
    const int words = (items + ITEMS - 1) / ITEMS;
    if (((size_t)plane | p.step) % 4 == 0)
        for (int word = threadIdx.x; word < words; word += blockDim.x)
            line[word] = weighed<true>(plane + 4 * word, last, p, y, quads, row_shift);
    else
        for (int word = threadIdx.x; word < words; word += blockDim.x)
            line[word] = weighed<false>(plane + 4 * word, last, p, y, quads, row_shift);
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

// A block makes a strip of one tensor row.  First each thread weighs the rows of some columns
// under the strip, then it weighs the columns under its own pixels.  Neighbouring threads make
// neighbouring pixels: a warp stores whole sectors and reads shared memory from distinct banks.
extern "C" __global__ void image_transform(
    const unsigned char *__restrict__ source, Value *__restrict__ tensor, const Parameters p) {
    __shared__ Column line[(SPAN + 2 * HALO) * CHANNELS / ITEMS];
#if KIND == YUV420
    __shared__ Column chroma[SPAN / ITEMS];
#else
    Column *chroma = line;
#endif
    __shared__ Quad quads[QUADS];
    const unsigned *last = (const unsigned *)((size_t)(source + p.nbytes - 1) & ~(size_t)3);
    const int row = blockIdx.x, strip = PIXELS * blockDim.x;
    const int column = blockIdx.y * strip + threadIdx.x;
    float value[PIXELS][3] = {}, total[PIXELS] = {};

    // Of the picture inside the tensor, the same for all threads of the block:
    const int low = clamp(blockIdx.y * strip - p.left, 0, p.inner_w);
    const int high = clamp((blockIdx.y + 1) * strip - p.left, 0, p.inner_w);
    if (row >= p.top && row < p.top + p.inner_h && low < high) {
        const Window y = window(row - p.top, p.ratio_y, p.support_y, p.source_h);
        for (int n = threadIdx.x; n < QUADS && y.first + 4 * n < y.end; n += blockDim.x)
            quads[n] = quad(y, y.first + 4 * n);
        const int end = window(high - 1, p.ratio_x, p.support_x, p.source_w).end;
        int begin = window(low, p.ratio_x, p.support_x, p.source_w).first & ~3;
        for (; begin < end; begin += SPAN) {
            const int stop = min(begin + SPAN, end), origin = max(begin - HALO, 0);
            const int items = (min(stop + HALO, p.source_w) - origin) * CHANNELS;
            const long long offset = (long long)origin * CHANNELS * ITEMSIZE;
            __syncthreads();
            weigh_rows(line, source + offset, last, p, items, y, quads, 0);
#if KIND == YUV420
            const unsigned char *below = source + (long long)p.source_h * p.step + offset;
            weigh_rows(chroma, below, last, p, items, y, quads, 1);
#endif
            __syncthreads();
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                const int inner = clamp(column + k * (int)blockDim.x - p.left, 0, p.inner_w - 1);
                const Window x = window(inner, p.ratio_x, p.support_x, p.source_w);
#pragma unroll 2
                for (int index = max(x.first, begin); index < min(x.end, stop); ++index) {
                    const float weight = x.weight(index);
                    total[k] += weight;
                    gather(value[k], line[0].of, chroma[0].of, index - origin, index, p.source_w,
                           weight);
                }
            }
        }
        float rows = 0.0f;
        for (int index = y.first; index < y.end; ++index) rows += row_weight(y, index);
        for (int k = 0; k < PIXELS; ++k) decode(value[k], p, total[k] * rows);
    }

    for (int k = 0; k < PIXELS; ++k) {
        const int x = column + k * (int)blockDim.x, inner = x - p.left;
        if (x >= p.columns) return;
        const bool inside =
            row >= p.top && row < p.top + p.inner_h && inner >= 0 && inner < p.inner_w;
        const long long pixel = (long long)row * p.columns + x;
        const long long plane = (long long)p.rows * p.columns;
        for (int output = 0; output < OUTPUTS; ++output) {
            const float number = inside ? value[k][output] : p.pad;
            tensor[NHWC ? pixel * OUTPUTS + output : output * plane + pixel] =
                cast(number * p.gain[output] + p.bias[output]);
        }
    }
}
"""
"""
One launch; each byte is read once per tensor row that needs it, by coalesced loads.

The two passes of a separable filter meet in shared memory, so that a source row costs a thread
four bytes of one load instead of a few bytes scattered over every tensor pixel.  What is between
the passes is linear in the bytes: chroma is resized as such, and debayering splits into rows and
columns too.
"""


def grid_and_block(columns: int, rows: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """
    Return blocks and threads for a tensor.

    Parameters
    ----------
    columns : int
        Of the tensor, padding included.
    rows : int
        Of the tensor, padding included.

    Returns
    -------
    tuple
        Blocks per axis, rows first; threads of a block.

    """
    strips = -(-columns // (PIXELS * MOST_THREADS))
    threads = -(-columns // (PIXELS * strips))
    threads += -threads % 32
    return (rows, -(-columns // (PIXELS * threads))), (threads, 1)
