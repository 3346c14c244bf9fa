# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The class of the highest score, read once in the type and order in which it lies."""

from __future__ import annotations

import functools

import numpy as np
import torch

from gpu_runtime.transforms.cupy_kernel import CupyKernel

_THREADS = 128
_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
SOURCE = r"""
// TYPE of the scores: 0 float32, 1 float16, 2 bfloat16.
#if TYPE == 0
typedef float Score;
__device__ inline float number(Score score) { return score; }
#else
typedef unsigned short Score;
__device__ inline float number(Score score) {
#if TYPE == 1
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(score));
    return value;
#else
    return __uint_as_float((unsigned)score << 16);
#endif
}
#endif

extern "C" __global__ void best_class(
    const Score *__restrict__ scores, unsigned char *__restrict__ ids, const long long pixels,
    const long long class_step, const long long pixel_step, const int classes) {
    const long long pixel = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const Score *at = scores + pixel * pixel_step;
    float best = number(at[0]);
    int id = 0;
    for (int k = 1; k < classes; ++k) {
        const float score = number(at[k * class_step]);
        // As torch.argmax: the first of equals, and NaN above everything.
        if (score > best || (score != score && best == best)) {
            best = score;
            id = k;
        }
    }
    ids[pixel] = id;
}
"""


def best_class(scores: torch.Tensor) -> torch.Tensor:
    """
    Return the class of the highest score of each pixel.

    On an H100, torch.argmax takes 0.44 ms for 21 classes at 1920 x 1080, and wants float32.

    Parameters
    ----------
    scores : torch.Tensor
        Floating (1, C, h, w) in one piece, planes or channels last; C at most 256.

    Returns
    -------
    torch.Tensor
        uint8 (1, 1, h, w), new memory; the first of equal scores.  On the current stream; does
        not block.

    """
    _, classes, height, width = scores.shape
    steps = scores.stride()
    kernel = None
    if scores.is_cuda and scores.dtype in _TYPES and steps[2] == width * steps[3]:
        kernel = _kernel(scores.device, _TYPES[scores.dtype])
    if kernel is None:
        return scores.argmax(dim=1, keepdim=True).to(torch.uint8)
    ids = torch.empty((1, 1, height, width), dtype=torch.uint8, device=scores.device)
    pixels = height * width
    arguments = (scores.data_ptr(), ids.data_ptr(), pixels, steps[1], steps[3], np.int32(classes))
    kernel.launch((-(-pixels // _THREADS),), (_THREADS,), arguments)
    return ids


@functools.cache
def _kernel(device: torch.device, kind: int) -> CupyKernel | None:
    """Return the kernel, or None where CuPy is missing, which the image transform tells."""
    try:
        return CupyKernel(SOURCE, 'best_class', device, options=(f'-DTYPE={kind}',))
    except ImportError:
        return None
