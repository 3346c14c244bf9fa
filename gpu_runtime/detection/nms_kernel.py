# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA source of the suppression kernels."""

from __future__ import annotations

RANK = 'rank_candidates'
"""Name of the first kernel: bring the candidates in order, class by class."""

RANK_THREADS = 256
"""Threads of its blocks."""

RANKED_PER_BLOCK = RANK_THREADS // 32 * 4
"""Candidates that a block of it ranks: four per warp."""

OVERLAP = 'overlap_bits'
"""Name of the second kernel: which candidate suppresses which."""

TILE = 64
"""Candidates per word of the bit matrix, and threads of a block of the second kernel."""

SWEEP = 'sweep'
"""Name of the third kernel: walk down the scores of each class."""

SWEEP_THREADS = 512
"""Threads of its blocks; a multiple of :data:`TILE`."""

COLLECT = 'collect'
"""Name of the fourth kernel: write what is kept of all classes, by falling score."""

COLLECT_THREADS = 1024
"""Threads of its one block; at most 32 warps."""

MOST_TILES = 1024
"""Words of a row of the bit matrix that the third kernel has room for."""

MEMBER_WORDS = 4
"""32-bit words that the first kernel writes per candidate in the order of classes."""

SOURCE = r"""
// Valid candidates are addressed by rank: class by class, each by falling score.  The class of
// rank r has the ranks from members[r].begin up to, without, members[r].end.  Of all classes
// together, its candidate has the place members[r].place, and is members[r].index of the input.
// chosen[place] becomes that index if it is kept, and is -1 if not.
//
// suppressors[tile * number + rank] has bit b set if rank 64 tile + b suppresses the rank, which
// is below it and of its class.  Only words of tiles that hold some of its class are ever
// written or read.

typedef unsigned long long Word;
const int TILE = 64, SHARE = 4, MOST_TILES = 1024;
const unsigned WARP = 0xFFFFFFFF;

struct alignas(16) Member { int index, place, begin, end; };

__device__ inline int sum_of_warp(int value) {
    for (int apart = 16; apart; apart /= 2) value += __shfl_xor_sync(WARP, value, apart);
    return value;
}

// A warp ranks SHARE candidates: it counts who comes before each of them.
extern "C" __global__ void rank_candidates(
    const float *scores, const long long *class_ids, const bool *valid, const int number,
    Member *members, int *chosen, int *valid_count) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int first = (blockIdx.x * (blockDim.x / 32) + warp) * SHARE;
    bool asked[SHARE], any = first == 0;  // the first warp also counts all valid ones
    float score[SHARE];
    long long class_id[SHARE];
    for (int i = 0; i < SHARE; ++i) {
        const int index = first + i < number ? first + i : number - 1;
        asked[i] = first + i < number && valid[index];
        score[i] = scores[index];
        class_id[i] = class_ids[index];
        any |= asked[i];
    }
    if (!any) return;
    int better[SHARE] = {}, better_of_class[SHARE] = {}, of_class[SHARE] = {}, lower[SHARE] = {};
    int count = 0;
    for (int other = lane; other < number; other += 32) {
        if (!valid[other]) continue;
        const float other_score = scores[other];
        const long long other_class = class_ids[other];
        ++count;
        for (int i = 0; i < SHARE; ++i) {
            const bool same = other_class == class_id[i];
            const bool before = other_score > score[i]
                || (other_score == score[i] && other < first + i);
            better[i] += before;
            better_of_class[i] += before && same;
            of_class[i] += same;
            lower[i] += other_class < class_id[i];
        }
    }
    count = sum_of_warp(count);
    if (first == 0 && lane == 0) *valid_count = count;
    for (int i = 0; i < SHARE; ++i) {
        const int place = sum_of_warp(better[i]), begin = sum_of_warp(lower[i]);
        const int rank = begin + sum_of_warp(better_of_class[i]);
        const int end = begin + sum_of_warp(of_class[i]);
        if (lane != 0 || !asked[i]) continue;
        members[rank] = {first + i, place, begin, end};
        chosen[place] = -1;
    }
}

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

// Block (tile of who might be suppressed, tile of who might suppress), a thread for each rank of
// the former.
extern "C" __global__ void overlap_bits(
    const float *boxes, const Member *members, const int *valid_count, const int number,
    const float *changing, const float fixed, Word *suppressors) {
    const float threshold = changing ? *changing : fixed;
    const int valid = *valid_count, thread = threadIdx.x;
    const int first = blockIdx.x * TILE, first_above = blockIdx.y * TILE;
    if (first_above > first || first >= valid) return;
    if (first_above < first && members[first_above + TILE - 1].end <= first) return;

    __shared__ float above[TILE * 4];
    const int many = valid - first_above < TILE ? valid - first_above : TILE;
    if (thread < many)
        for (int side = 0; side < 4; ++side)
            above[thread * 4 + side] = boxes[members[first_above + thread].index * 4 + side];
    __syncthreads();

    const int rank = first + thread;
    if (rank >= valid) return;
    const Member own = members[rank];
    float box[4];
    for (int side = 0; side < 4; ++side) box[side] = boxes[own.index * 4 + side];
    const int end = rank - first_above < many ? rank - first_above : many;
    Word word = 0;
    for (int i = own.begin > first_above ? own.begin - first_above : 0; i < end; ++i)
        if (overlap(above + i * 4, box, threshold)) word |= (Word)1 << i;
    suppressors[(long long)blockIdx.y * number + rank] = word;
}

__device__ inline Word ones(int count) {
    return count >= TILE ? ~(Word)0 : ((Word)1 << (count > 0 ? count : 0)) - 1;
}

__device__ inline Word ballot(bool low, bool high) {
    const Word of_low = __ballot_sync(WARP, low);
    return of_low | (Word)__ballot_sync(WARP, high) << 32;
}

// Decide a tile, by one warp: each lane has the suppressors of two of its candidates.  All those
// that only depend on decided ones are decided at once, so that the steps are as many as the
// longest chain of overlaps and not as many as the candidates.
__device__ inline Word settle(Word open, Word low, Word high, int lane) {
    Word kept = 0;
    while (open) {
        const bool low_open = open >> lane & 1, high_open = open >> (lane + 32) & 1;
        const Word lost = ballot(low_open && low & kept, high_open && high & kept);
        const Word free = ballot(
            low_open && !(low & (kept | open)), high_open && !(high & (kept | open)));
        kept |= free;
        open &= ~(lost | free);
    }
    return kept;
}

// A block for each tile: it sweeps over the classes that begin in this tile, to their ends.
extern "C" __global__ void sweep(
    const Member *members, const int *valid_count, const Word *suppressors, const int number,
    const int limit, int *chosen) {
    const int valid = *valid_count, thread = threadIdx.x, lane = threadIdx.x % 32;
    const int home = blockIdx.x, first_home = home * TILE;
    if (first_home >= valid) return;
    const int last = (first_home + TILE < valid ? first_home + TILE : valid) - 1;
    const Member head = members[first_home];
    const int begin = head.begin == first_home ? first_home : head.end;
    if (begin > last) return;
    const int end = members[last].end;
    const bool one_class = members[begin].end == end;

    __shared__ Word kept[MOST_TILES];
    __shared__ unsigned removed[2];
    if (thread < 2) removed[thread] = 0;
    __syncthreads();
    int total = 0;
    for (int tile = home; tile * TILE < end && !(one_class && total >= limit); ++tile) {
        const int first = tile * TILE, rank = first + thread % TILE;
        Member own = {};
        bool lost = false;
        if (rank >= begin && rank < end) {
            own = members[rank];
            for (int above = own.begin / TILE + thread / TILE; above < tile;
                 above += blockDim.x / TILE)
                lost |= (suppressors[(long long)above * number + rank] & kept[above - home]) != 0;
        }
        const unsigned gone = __ballot_sync(WARP, lost);
        if (lane == 0 && gone) atomicOr(removed + thread / 32 % 2, gone);
        const Word *near = suppressors + (long long)tile * number + first + lane;
        const Word inside = ones(end - first) & ~ones(begin - first);
        Word low = 0, high = 0;
        if (thread < 32) {
            if (inside >> lane & 1) low = near[0];
            if (inside >> (lane + 32) & 1) high = near[32];
        }
        __syncthreads();
        if (thread < 32) {
            const Word out = removed[0] | (Word)removed[1] << 32;
            __syncwarp();  // all lanes have read what two of them reset
            const Word decided = settle(inside & ~out, low, high, lane);
            if (lane == 0) kept[tile - home] = decided;
            if (lane < 2) removed[lane] = 0;
        }
        __syncthreads();
        const Word decided = kept[tile - home];
        if (thread < TILE && decided >> thread & 1) chosen[own.place] = own.index;
        total += __popcll(decided);
    }
}

extern "C" __global__ void collect(
    const float *boxes, const float *scores, const long long *class_ids, const int *chosen,
    const int *valid_count, const int limit, float *kept_boxes, float *kept_scores,
    long long *kept_classes, long long *kept_count) {
    __shared__ int counts[32];
    const int valid = *valid_count, thread = threadIdx.x, threads = blockDim.x;
    const int lane = thread % 32, warp = thread / 32;
    int total = 0;
    for (int first = 0; first < valid && total < limit; first += threads) {
        const int index = first + thread < valid ? chosen[first + thread] : -1;
        const unsigned votes = __ballot_sync(WARP, index >= 0);
        if (lane == 0) counts[warp] = __popc(votes);
        __syncthreads();
        int to = total + __popc(votes & (((unsigned)1 << lane) - 1));
        for (int i = 0; i < threads / 32; ++i) {
            if (i < warp) to += counts[i];
            total += counts[i];
        }
        __syncthreads();
        if (index < 0 || to >= limit) continue;
        for (int side = 0; side < 4; ++side)
            kept_boxes[to * 4 + side] = boxes[index * 4 + side];
        kept_scores[to] = scores[index];
        kept_classes[to] = class_ids[index];
    }
    if (total > limit) total = limit;
    for (int to = total + thread; to < limit; to += threads) {
        for (int side = 0; side < 4; ++side) kept_boxes[to * 4 + side] = 0;
        kept_scores[to] = 0;
        kept_classes[to] = 0;
    }
    if (thread == 0) *kept_count = total;
}
"""
"""All kernels; they read the number of valid candidates on the device."""
