# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the two suppression kernels."""

from __future__ import annotations

OVERLAP = 'overlap_bits'
"""Name of the first kernel: which candidate suppresses which."""

SWEEP = 'sweep'
"""Name of the second kernel: walk down the scores and write what is kept."""

TILE = 64
"""Candidates per word of the bit matrix, and threads of a block of the first kernel."""

SWEEP_THREADS = 256
"""Threads of the one block of the second kernel; at least :data:`TILE`."""

SOURCE = r"""
// Candidates are addressed by rank: rank r is input order[r], by falling score, the valid ones
// first.  bits[r][t] has bit b set if rank r suppresses rank 64 t + b, which is below it.  Only
// the words right of the diagonal, of valid ranks, are ever written or read.

typedef unsigned long long Word;
const int TILE = 64;

// torchvision's formula, each step rounded by itself: a fused multiply-add would decide
// differently next to the threshold.
__device__ inline float area(const float *box) {
    return __fmul_rn(__fsub_rn(box[2], box[0]), __fsub_rn(box[3], box[1]));
}

__device__ inline bool overlap(const float *a, const float *b, float threshold) {
    const float left = a[0] < b[0] ? b[0] : a[0];
    const float top = a[1] < b[1] ? b[1] : a[1];
    const float right = b[2] < a[2] ? b[2] : a[2];
    const float bottom = b[3] < a[3] ? b[3] : a[3];
    const float width = __fsub_rn(right, left), height = __fsub_rn(bottom, top);
    const float common = __fmul_rn(0 < width ? width : 0, 0 < height ? height : 0);
    const float joined = __fsub_rn(__fadd_rn(area(a), area(b)), common);
    return __fdiv_rn(common, joined) > threshold;
}

extern "C" __global__ void overlap_bits(
    const float *boxes, const long long *class_ids, const long long *order,
    const long long *valid_count, Word *bits, const long long tiles, const float *changing,
    const float fixed) {
    const float threshold = changing ? *changing : fixed;
    const long long valid = *valid_count;
    const long long first_row = (long long)blockIdx.y * TILE;
    const long long first_column = (long long)blockIdx.x * TILE;
    if (first_column < first_row || first_column >= valid) return;

    __shared__ float column_boxes[TILE * 4];
    __shared__ long long column_classes[TILE];
    const int columns = (int)(valid - first_column < TILE ? valid - first_column : TILE);
    const int thread = threadIdx.x;
    if (thread < columns) {
        const long long at = order[first_column + thread];
        for (int side = 0; side < 4; ++side)
            column_boxes[thread * 4 + side] = boxes[at * 4 + side];
        column_classes[thread] = class_ids[at];
    }
    __syncthreads();

    const long long row = first_row + thread;
    if (row >= valid) return;
    const long long at = order[row];
    const float box[4] = {boxes[at * 4], boxes[at * 4 + 1], boxes[at * 4 + 2], boxes[at * 4 + 3]};
    const long long class_id = class_ids[at];
    Word word = 0;
    for (int column = first_row == first_column ? thread + 1 : 0; column < columns; ++column)
        if (column_classes[column] == class_id
            && overlap(box, column_boxes + column * 4, threshold))
            word |= (Word)1 << column;
    bits[row * tiles + blockIdx.x] = word;
}

extern "C" __global__ void sweep(
    const float *boxes, const long long *class_ids, const long long *order,
    const long long *valid_count, const float *scores, const Word *bits, const long long tiles,
    const long long limit, float *kept_boxes, float *kept_scores, long long *kept_classes,
    long long *kept_count) {
    extern __shared__ Word removed[];
    __shared__ Word diagonal[TILE];
    __shared__ int chosen[TILE];
    __shared__ int chosen_count;
    const long long valid = *valid_count;
    const long long used_tiles = (valid + TILE - 1) / TILE;
    const int thread = threadIdx.x, threads = blockDim.x;
    for (long long tile = thread; tile < used_tiles; tile += threads) removed[tile] = 0;

    long long total = 0;
    for (long long tile = 0; tile < used_tiles && total < limit; ++tile) {
        const long long first = tile * TILE;
        if (thread < TILE)
            diagonal[thread] = first + thread < valid ? bits[(first + thread) * tiles + tile] : 0;
        __syncthreads();
        if (thread == 0) {
            Word alive = ~removed[tile];
            if (valid - first < TILE) alive &= ((Word)1 << (valid - first)) - 1;
            int count = 0;
            while (alive && total + count < limit) {
                const int rank = __ffsll(alive) - 1;
                chosen[count++] = rank;
                alive &= ~(diagonal[rank] | (Word)1 << rank);
            }
            chosen_count = count;
        }
        __syncthreads();
        const int count = chosen_count;
        for (long long later = tile + 1 + thread; later < used_tiles; later += threads) {
            Word word = removed[later];
            for (int i = 0; i < count; ++i) word |= bits[(first + chosen[i]) * tiles + later];
            removed[later] = word;
        }
        if (thread < count) {
            const long long at = order[first + chosen[thread]], to = total + thread;
            for (int side = 0; side < 4; ++side)
                kept_boxes[to * 4 + side] = boxes[at * 4 + side];
            kept_scores[to] = scores[at];
            kept_classes[to] = class_ids[at];
        }
        total += count;
        __syncthreads();
    }

    for (long long to = total + thread; to < limit; to += threads) {
        for (int side = 0; side < 4; ++side) kept_boxes[to * 4 + side] = 0;
        kept_scores[to] = 0;
        kept_classes[to] = 0;
    }
    if (thread == 0) *kept_count = total;
}
"""
"""Both kernels; they read the number of candidates on the device."""
