# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The kernels at the ends of stages compile without a device, and are made once."""

from __future__ import annotations

from host_cuda import compile_for_gpu
import pytest
import torch

from gpu_runtime.image_ops import packing
from gpu_runtime.segmentation import best_class
from gpu_runtime.transforms import cupy_kernel
from gpu_runtime.transforms.cupy_kernel import kernel_if_cupy
from gpu_runtime.transforms.float_types import FLOAT_TYPES


@pytest.mark.parametrize('kind', FLOAT_TYPES.values())
def test_scores_of_every_type(kind: int) -> None:
    assert b'.entry best_class' in compile_for_gpu(best_class.SOURCE, (f'-DTYPE={kind}',))


@pytest.mark.parametrize(('channels', 'planes'), [(1, 1), (3, 1), (3, 3), (4, 1), (4, 3)])
def test_pixels_of_every_kind(channels: int, planes: int) -> None:
    options = (f'-DCHANNELS={channels}', f'-DPLANES={planes}')
    assert b'.entry pack' in compile_for_gpu(packing.SOURCE, options)


def test_a_kernel_is_made_once_and_missing_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device('cuda', 0)
    kernel_if_cupy.cache_clear()
    monkeypatch.setattr(cupy_kernel, 'CupyKernel', lambda *given, options: (given, options))
    made = kernel_if_cupy('source', 'name', device, ('-DX=1',))
    assert made == (('source', 'name', device), ('-DX=1',))
    assert kernel_if_cupy('source', 'name', device, ('-DX=1',)) is made

    def missing(*_: object, **__: object) -> None:
        raise ImportError('no cupy')

    monkeypatch.setattr(cupy_kernel, 'CupyKernel', missing)
    assert kernel_if_cupy('source', 'other', device) is None
    kernel_if_cupy.cache_clear()
