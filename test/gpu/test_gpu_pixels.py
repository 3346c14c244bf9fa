# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Small kernels at the ends of stages: planes to pixels, scores to classes."""

from __future__ import annotations

import pytest
import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.image_ops.packing import packed
from gpu_runtime.image_ops.picture import OUTPUT_ENCODINGS
from gpu_runtime.segmentation.best_class import best_class

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize('encoding', OUTPUT_ENCODINGS)
def test_planes_are_packed_as_on_the_cpu(gpu: torch.device, encoding: str) -> None:
    torch.manual_seed(0)
    planes = torch.rand(1 if encoding == 'mono8' else 3, 37, 53) * 320 - 30
    planes[0, 0, :6] = torch.tensor([0.5, 1.5, 254.5, 255.5, -0.5, float('inf')])
    got = packed(planes.to(gpu), ENCODINGS[encoding]).cpu()
    assert torch.equal(got, packed(planes, ENCODINGS[encoding]))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('classes', [2, 21, 150])
def test_the_best_class_is_that_of_argmax(
    gpu: torch.device, dtype: torch.dtype, order: torch.memory_format, classes: int
) -> None:
    torch.manual_seed(0)
    # Whole numbers: many scores are equal.
    scores = torch.randint(-9, 9, (1, classes, 41, 67)).to(dtype)
    scores[0, 1, 0, 0] = torch.nan
    scores[0, :, 0, 1] = -torch.inf
    expected = scores.float().argmax(dim=1, keepdim=True).to(torch.uint8)
    given = scores.to(gpu).contiguous(memory_format=order)
    assert torch.equal(best_class(given).cpu(), expected)
