# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the fused image transform, and the layout of its parameter block."""

from __future__ import annotations

import numpy as np

from gpu_runtime.transforms.pixel_source import PIXEL_SOURCE

NAME = 'image_transform'
"""Name of the kernel in :data:`SOURCE`."""

PIXELS = 2
"""Of a row that one thread makes."""

MOST_THREADS = 160
"""Of a block: a strip of 320 columns, half of the usual 640."""

WORDS = {True: 3, False: 2}
"""Of four bytes that a thread waits for at once, by whether no window has more than four rows."""

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
//   SINGLE               1: no window has more than four rows
//   WORDS                of four bytes that a thread waits for at once
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

"""
_COLUMNS = r"""
// Sums of columns from `origin` on.
struct Line {
    const float *of, *chroma;
    int origin;
};

// Weigh the columns of a window of at most COUNT, all of which are in the line.
template <int COUNT>
__device__ inline void weigh_columns(
    float (&value)[3], float &total, const Line &line, const Window &x, int width) {
    const float distance = x.first + x.offset;
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        const int index = min(x.first + k, x.end - 1);
        const float weight = fmaxf(1.0f - fabsf(distance + k) * x.inverse, 0.0f);
        const float used = x.first + k < x.end ? weight : 0.0f;
        total += used;
        gather(value, line.of, line.chroma, index - line.origin, index, width, used);
    }
}

// Weigh those from `begin` to `stop` of any window.
__device__ inline void weigh_columns(
    float (&value)[3], float &total, const Line &line, const Window &x, int width, int begin,
    int stop) {
#pragma unroll 2
    for (int index = max(x.first, begin); index < min(x.end, stop); ++index) {
        const float weight = x.weight(index);
        total += weight;
        gather(value, line.of, line.chroma, index - line.origin, index, width, weight);
    }
}

"""
_BODY = r"""
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
        for (int n = threadIdx.x; n < min(QUADS, quad_count(y)); n += blockDim.x)
            quads[n] = quad(y, p, n);
        const int end = window(high - 1, p.ratio_x, p.support_x, p.source_w).end;
        const int first = window(low, p.ratio_x, p.support_x, p.source_w).first & ~3;
        const int longest = (int)ceilf(2.0f * p.support_x);  // window of columns
        for (int begin = first; begin < end; begin += SPAN) {
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
            const bool whole = begin == first && stop == end;
#pragma unroll
            for (int k = 0; k < PIXELS; ++k) {
                const int inner = clamp(column + k * (int)blockDim.x - p.left, 0, p.inner_w - 1);
                const Window x = window(inner, p.ratio_x, p.support_x, p.source_w);
                const Line part = {line[0].of, chroma[0].of, origin};
                if (whole && longest <= 2)
                    weigh_columns<2>(value[k], total[k], part, x, p.source_w);
                else if (whole && longest <= 4)
                    weigh_columns<4>(value[k], total[k], part, x, p.source_w);
                else if (whole && longest <= 6)
                    weigh_columns<6>(value[k], total[k], part, x, p.source_w);
                else
                    weigh_columns(value[k], total[k], part, x, p.source_w, begin, stop);
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

SOURCE = _HEAD + PIXEL_SOURCE + _COLUMNS + _BODY
"""
One launch; each byte is read once per tensor row that needs it, by coalesced loads.

The two passes of a separable filter meet in shared memory.  In the first, a thread reads words of
its own columns, neighbours beside it theirs, four rows at once; in the second it reads sums, not
pixels.  What is between bytes and colours is linear but for the last step, so all of it is moved
behind the resize: chroma is resized as such, and debayering splits into rows and columns too.
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
