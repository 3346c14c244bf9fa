# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The class of the highest score, read once in the type and order in which it lies."""

from __future__ import annotations

import numpy as np
import torch

from gpu_runtime.transforms.cupy_kernel import kernel_if_cupy
from gpu_runtime.transforms.float_types import FLOAT_SOURCE
from gpu_runtime.transforms.float_types import FLOAT_TYPES

_THREADS = 128
SOURCE = (
    FLOAT_SOURCE
    + r"""
extern "C" __global__ void best_class(
    const Value *__restrict__ scores, unsigned char *__restrict__ ids, const long long pixels,
    const long long class_step, const long long pixel_step, const int classes) {
    const long long pixel = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const Value *at = scores + pixel * pixel_step;
    float best = widened(at[0]);
    int id = 0;
    for (int k = 1; k < classes; ++k) {
        const float score = widened(at[k * class_step]);
        // As torch.argmax: the first of equals, and NaN above everything.
        if (score > best || (score != score && best == best)) {
            best = score;
            id = k;
        }
    }
    ids[pixel] = id;
}
"""
)
"""For a type of the scores, ``TYPE`` as in :data:`FLOAT_TYPES`."""


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
    if scores.is_cuda and scores.dtype in FLOAT_TYPES and steps[2] == width * steps[3]:
        options = (f'-DTYPE={FLOAT_TYPES[scores.dtype]}',)
        kernel = kernel_if_cupy(SOURCE, 'best_class', scores.device, options)
    if kernel is None:
        return scores.argmax(dim=1, keepdim=True).to(torch.uint8)
    ids = torch.empty((1, 1, height, width), dtype=torch.uint8, device=scores.device)
    pixels = height * width
    arguments = (scores.data_ptr(), ids.data_ptr(), pixels, steps[1], steps[3], np.int32(classes))
    kernel.launch((-(-pixels // _THREADS),), (_THREADS,), arguments)
    return ids
