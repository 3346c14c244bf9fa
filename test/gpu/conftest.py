# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that need a device."""

from __future__ import annotations

from collections.abc import Iterator

from context_bench import FORMAT
from context_bench import HEADER
from context_bench import picture
from context_bench import run
import pytest
import torch

from gpu_runtime.gpu_context import GpuContext


@pytest.fixture
def context(gpu: str) -> Iterator[GpuContext]:
    """Return a context whose memory, kernels and pools are warm."""
    context = GpuContext(str(gpu))
    context.pinned.reserve(FORMAT.nbytes, 60)
    stages = [context.streams.lease('warm up'), context.streams.lease('warm up')]
    frames = [context.frame(HEADER, FORMAT, picture(0)) for _ in range(8)]
    for stage in stages:
        for frame in frames:
            run(context, frame, stage)
    del frames, frame
    for stage in stages:
        context.streams.release(stage)
    torch.cuda.synchronize()
    yield context
    context.close()
