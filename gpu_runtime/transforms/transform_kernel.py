# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the fused image transform, and the layout of its parameter block."""

from __future__ import annotations

import numpy as np

from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.transforms.column_source import COLUMN_SOURCE
from gpu_runtime.transforms.pixel_source import PIXEL_SOURCE

NAME = 'image_transform'
"""Name of the kernel in :data:`SOURCE`."""

PIXELS = 5
"""Of a row that one thread makes."""

MOST_THREADS = 64
"""Of a block: a strip of 320 columns, half of the usual 640."""

BLOCKS = 10
"""Of a multiprocessor at once: 640 rows of two strips are one wave on the 132 of an H100."""

SPAN = 1024
"""Columns of the picture that a block weighs at a time."""

UNROLL = 5
"""Of its pixels that a thread makes at once."""

WORDS = {1: 4, 2: 2}
"""Of four bytes that a thread waits for at once, by how many planes it reads them of."""

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
        ('inverse_x', np.float32),
        ('inverse_y', np.float32),
        ('unit', np.float32),
        ('gain', np.float32, 3),
        ('bias', np.float32, 3),
        ('pad', np.float32),
    ],
    align=True,
)
"""``struct Parameters`` of the kernel; passed by value, so a launch uploads nothing."""

_HEAD = r"""
// Set at compile time:
//   KIND                 one of the kinds below
//   CHANNELS ITEMSIZE    items per source pixel of a row, bytes per item
//   FIRST SECOND THIRD   Encoding.order
//   OUTPUTS              output channels, 1 or 3
//   LUMA                 1: one output, BT.601 grey of a colour
//   SWAP                 1: blue first
//   NHWC                 1: channels last, 0: planes
//   HALF                 1: float16, 0: float32
//   ROWS TAPS            most rows of a plane and most columns in a window, 0: any number
//   WORDS                of four bytes that a thread waits for at once
//   PIXELS UNROLL        of a row that one thread makes; how many of these at once
//   SPAN                 source columns weighed at a time, with TAPS all of a strip
//   THREADS BLOCKS       threads of a block; how many blocks a multiprocessor should hold at once
// No headers: the kernel compiles wherever NVRTC is, with or without a CUDA toolkit.
#define COLOUR 0
#define GREY 1
#define DEPTH 2
#define YUV422 3
#define YUV420 4
#define BAYER 5

#define ITEMS (4 / ITEMSIZE)                            // per word of four bytes
#define SUMS (KIND == BAYER ? 3 : KIND == DEPTH ? 2 : 1)  // kept per item
#define SETS (KIND == BAYER ? 3 : 1)                    // of weights
#define PLANES (KIND == YUV420 || KIND == BAYER ? 2 : 1)
#define LINE (SPAN * CHANNELS / ITEMS)                  // words
#define READ (ROWS == 2 ? 2 : 4)                        // rows at once
#define QUADS (ROWS ? 1 : 32)                           // of row weights that are remembered

struct Parameters {
    long long nbytes;
    int step, source_w, source_h, columns, rows, left, top, inner_w, inner_h;
    float ratio_x, ratio_y, support_x, support_y, inverse_x, inverse_y, unit;
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

__device__ inline int clamp(int value, int low, int high) { return min(max(value, low), high); }

// Source pixels [first, end) on one axis under the triangle of one tensor pixel.  Averaging, the
// support is the ratio: window and weights are those of torch's and PIL's antialiased bilinear.
// With a support of 1 they are the two neighbours of plain bilinear.
struct Window {
    int first, end;
    float offset, inverse;  // half a pixel less the triangle's centre; one over support

    __device__ float weight_at(float distance) const {
        return fmaxf(1.0f - fabsf(distance) * inverse, 0.0f);
    }
    __device__ float weight(int index) const { return weight_at(index + offset); }
};

__device__ inline Window window(int index, float ratio, float support, float inverse, int size) {
    const float center = ratio * (index + 0.5f);
    const int first = max((int)(center - support + 0.5f), 0);
    const int end = min((int)(center + support + 0.5f), size);
    return {first, end, 0.5f - center, inverse};
}

// The window with what is around it: in a Bayer picture each pixel needs its neighbours, and the
// outermost are the ones next to them.
__device__ inline Window with_neighbours(const Window &of, int size) {
#if KIND == BAYER
    const int first = clamp(of.first, 1, size - 2) - 1, end = clamp(of.end - 1, 1, size - 2) + 2;
    return {first, end, of.offset, of.inverse};
#else
    return of;
#endif
}

// What a pixel weighs, the outermost ones of a Bayer picture as part of those.
__device__ inline float folded(const Window &of, int index, int size) {
#if KIND == BAYER
    if (index < 1 || index > size - 2) return 0.0f;
    return of.weight(index) + (index == 1 ? of.weight(0) : 0.0f)
        + (index == size - 2 ? of.weight(size - 1) : 0.0f);
#else
    return of.weight(index);
#endif
}

// The weights of four rows, two in a word.
struct Quad { unsigned of[SETS][2]; };

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

"""
_BODY = r"""
__device__ inline Window columns(int inner, const Parameters &p) {
    return window(inner, p.ratio_x, p.support_x, p.inverse_x, p.source_w);
}

// The tensor pixel of a row, if that is as wide: all channels of it.
__device__ inline void store(
    Value *tensor, const Parameters &p, int row, int column, const float (&value)[3],
    bool inside) {
    if (column >= p.columns) return;
    const long long pixel = (long long)row * p.columns + column;
    const long long plane = (long long)p.rows * p.columns;
#pragma unroll
    for (int output = 0; output < OUTPUTS; ++output) {
        const float number = inside ? value[output] : p.pad;
        tensor[NHWC ? pixel * OUTPUTS + output : output * plane + pixel] =
            cast(number * p.gain[output] + p.bias[output]);
    }
}

// A block makes a strip of one tensor row.  First each thread weighs the rows of some columns
// under the strip, then it weighs the columns under its own pixels.  Neighbouring threads make
// neighbouring pixels: a warp stores whole sectors and reads shared memory from distinct banks.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) image_transform(
    const unsigned char *__restrict__ source, Value *__restrict__ tensor, const Parameters p) {
    __shared__ Column line[LINE * (KIND == YUV420 ? 2 : 1)];
    __shared__ Quad quads[PLANES * QUADS];
    const unsigned *last = (const unsigned *)((size_t)(source + p.nbytes - 1) & ~(size_t)3);
    const int row = blockIdx.x, strip = PIXELS * THREADS;
    const int column = blockIdx.y * strip + threadIdx.x;

    // Of the picture inside the tensor, the same for all threads of the block:
    const int low = clamp(blockIdx.y * strip - p.left, 0, p.inner_w);
    const int high = clamp((blockIdx.y + 1) * strip - p.left, 0, p.inner_w);
    if (row < p.top || row >= p.top + p.inner_h || low >= high) {
        for (int k = 0; k < PIXELS; ++k)
            store(tensor, p, row, column + k * THREADS, {}, false);
        return;
    }
    const Window y = window(row - p.top, p.ratio_y, p.support_y, p.inverse_y, p.source_h);
#if KIND != DEPTH
    remember(quads, y, p, ROWS ? 1 : quad_count(y, p));
#endif
    const Window right = columns(high - 1, p);
    const int first = with_neighbours(columns(low, p), p.source_w).first & ~3;
    const int end = min(
        max(with_neighbours(right, p.source_w).end, right.first + TAPS + 2), p.source_w);
#if TAPS
    weigh_rows(line, quads, source + (long long)first * CHANNELS * ITEMSIZE, last, p,
               (end - first) * CHANNELS, y);
    __syncthreads();
    const Line all = {line[0].of, first};
    const float rows = weight_of_rows(quads, y);
#pragma unroll UNROLL
    for (int k = 0; k < PIXELS; ++k) {
        const int x = column + k * THREADS, inner = x - p.left;
        const bool inside = inner >= 0 && inner < p.inner_w;
        float value[3] = {}, total = 0.0f;
        if (inside) {
            const Window below = columns(inner, p);
            // Of what is read beside a window, all must be there: Bayer's neighbours, half a pair.
            const int before = KIND == BAYER ? 1 : 0;
            const int after = KIND == BAYER ? 1 : KIND == YUV422 || KIND == YUV420 ? 2 : 0;
            if (below.first >= before && below.first + TAPS + after <= p.source_w)
                weigh_taps(value, total, all, below);
            else
                weigh_columns(value, total, all, below, p, first, end);
            decode(value, p, total * rows);
        }
        store(tensor, p, row, x, value, inside);
    }
#else
    float value[PIXELS][3] = {}, total[PIXELS] = {};
    for (int begin = first; begin < end; begin += SPAN) {
        const int stop = min(begin + SPAN, end);
        if (begin > first) __syncthreads();
        weigh_rows(line, quads, source + (long long)begin * CHANNELS * ITEMSIZE, last, p,
                   (stop - begin) * CHANNELS, y);
        __syncthreads();
        const Line part = {line[0].of, begin};
#pragma unroll
        for (int k = 0; k < PIXELS; ++k) {
            const int inner = clamp(column + k * THREADS - p.left, 0, p.inner_w - 1);
            weigh_columns(value[k], total[k], part, columns(inner, p), p, begin, stop);
        }
    }
    const float rows = weight_of_rows(quads, y);
#pragma unroll
    for (int k = 0; k < PIXELS; ++k) {
        const int x = column + k * THREADS, inner = x - p.left;
        decode(value[k], p, total[k] * rows);
        store(tensor, p, row, x, value[k], inner >= 0 && inner < p.inner_w);
    }
#endif
}
"""

SOURCE = _HEAD + PIXEL_SOURCE + COLUMN_SOURCE + _BODY
"""
One launch; each byte is read once per tensor row that needs it, by coalesced loads.

The two passes of a separable filter meet in shared memory.  In the first, a thread reads words of
its own columns, neighbours beside it theirs, four rows at once; in the second it reads sums, not
pixels.  What is between bytes and colours is linear but for the last step, so all of it is moved
behind the resize: chroma is resized as such, and debayering splits into rows and columns too.
"""


def rows_at_once(kind: PixelKind, window: float) -> int:
    """
    Return how many rows of each plane hold every window, as a macro of the source.

    Parameters
    ----------
    kind : PixelKind
        Of the picture.
    window : float
        Rows under a tensor row.

    Returns
    -------
    int
        2, 4, or 0 where there are more.

    """
    if kind is PixelKind.DEPTH:
        return 0  # takes row by row
    if kind is PixelKind.BAYER:
        return 4 if window <= 6 else 0  # with one on either side, and every other of them
    if kind is PixelKind.YUV420:
        return 4 if window <= 4 else 0
    return 2 if window <= 2 else 4 if window <= 4 else 0


def taps(window: float, ratio: float, columns: int) -> int:
    """
    Return how many columns hold every window, as a macro of the source.

    Parameters
    ----------
    window : float
        Columns of the picture under a tensor pixel.
    ratio : float
        Columns of the picture per column of the tensor.
    columns : int
        Of the tensor, padding included.

    Returns
    -------
    int
        2, 4, 6, or 0 where there are more, or where a strip has more columns than are weighed at
        a time.

    """
    _, (threads, _) = grid_and_block(columns, 1)
    if PIXELS * threads * ratio + window + 16 > SPAN:
        return 0
    return next((count for count in (2, 4, 6) if window <= count), 0)


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
    return (rows, strips), (threads, 1)
