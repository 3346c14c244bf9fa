# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the image operations, and of engines that are built meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from image_ops_bench import Apply
from image_ops_bench import Pixels
from image_ops_bench import read
import pytest
from quick_builder import QuickCompiler
from tiny_onnx import tiny_onnx
import torch

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.image_ops import ImageChain
from gpu_runtime.image_ops import parse_operations
from gpu_runtime.image_ops import Picture


@pytest.fixture(scope='module')
def context() -> Iterator[GpuContext]:
    """Own a device."""
    context = GpuContext('cpu')
    yield context
    assert context.close() == []


@pytest.fixture
def apply(context: GpuContext) -> Apply:
    """Run a chain on a picture and return the resulting picture."""

    def run(
        pixels: Pixels, *texts: str, encoding: str = '', camera: CameraModel | None = None
    ) -> Picture:
        chain = ImageChain(parse_operations(texts), context)
        try:
            return chain(read(context, pixels, encoding, camera))
        finally:
            chain.close()

    return run


@pytest.fixture(scope='module')
def x() -> torch.Tensor:
    """Return an input."""
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Load what the quick builder builds, except where the real one is tested."""
    if 'real_compiler' not in request.keywords:
        monkeypatch.setitem(COMPILERS, 'compile', QuickCompiler())


@pytest.fixture(scope='module')
def model_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a network."""
    return tiny_onnx(tmp_path_factory.mktemp('model') / 'tiny.onnx')
