# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Kernels run on the current stream and device of their thread, at little cost to the host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import time

import numpy as np
import pytest
import torch

from gpu_runtime.errors import CudaError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.cupy_kernel import CupyKernel
from gpu_runtime.transforms.cupy_transform import CupyTransform

pytestmark = pytest.mark.gpu

SOURCE = r"""
extern "C" __global__ void add(long long *to, long long value, float factor) {
    *to += (long long)(value * factor);
}
extern "C" __global__ void busy(long long *to, long long cycles) {
    const long long end = clock64() + cycles;
    while (clock64() < end) {}
    *to = 5;
}
"""


def add(device: torch.device) -> CupyKernel:
    """Return the kernel that adds."""
    return CupyKernel(SOURCE, 'add', device)


def test_arguments_arrive(gpu: torch.device) -> None:
    """64 bits of an int, numpy values as they are."""
    cell = torch.zeros(1, dtype=torch.int64, device=gpu)
    add(gpu).launch((1,), (1,), (cell.data_ptr(), 1 << 40, np.float32(0.5)))
    assert cell.item() == 1 << 39


def test_the_order_of_the_current_stream_holds(gpu: torch.device) -> None:
    """A launch comes after what its stream still does, on two streams in turn."""
    busy, adding = CupyKernel(SOURCE, 'busy', gpu), add(gpu)
    cells = torch.zeros((2, 1), dtype=torch.int64, device=gpu)
    one = np.float32(1.0)
    busy.launch((1,), (1,), (cells.data_ptr(), 1))
    adding.launch((1,), (1,), (cells.data_ptr(), 0, one))
    cells.zero_()
    streams = [torch.cuda.Stream(gpu) for _ in cells]
    torch.cuda.synchronize(gpu)
    for cell, stream in zip(cells, streams, strict=True):
        with torch.cuda.stream(stream):
            busy.launch((1,), (1,), (cell.data_ptr(), 20_000_000))
            adding.launch((1,), (1,), (cell.data_ptr(), 2, one))
    assert not streams[1].query()
    torch.cuda.synchronize(gpu)
    assert cells.flatten().tolist() == [7, 7]


def test_a_stream_of_the_pool_is_used(gpu: torch.device, context: GpuContext) -> None:
    """On a thread of its own, as stages do it."""
    adding = add(context.device)
    cell = torch.zeros(1, dtype=torch.int64, device=context.device)
    torch.cuda.synchronize(context.device)
    stream = context.streams.lease('test')

    def stage() -> None:
        with stream:
            for _ in range(10):
                adding.launch((1,), (1,), (cell.data_ptr(), 3, np.float32(1.0)))
            stream.record().wait_host()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(stage).result()
    assert cell.item() == 30
    context.streams.release(stream)


def test_a_launch_can_be_captured(gpu: torch.device) -> None:
    """Once it is compiled."""
    cell = torch.zeros(1, dtype=torch.int64, device=gpu)
    adding = add(gpu)
    arguments = (cell.data_ptr(), 1, np.float32(1.0))
    adding.launch((1,), (1,), arguments)
    torch.cuda.synchronize(gpu)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        adding.launch((1,), (1,), arguments)
    assert cell.item() == 1
    graph.replay()
    graph.replay()
    assert cell.item() == 3


def test_another_device_is_reached(gpu: torch.device) -> None:
    """And the current one stays current."""
    if torch.cuda.device_count() < 2:
        pytest.skip('one device')
    before = torch.cuda.current_device()
    other = torch.device('cuda', 1 if before == 0 else 0)
    cell = torch.zeros(1, dtype=torch.int64, device=other)
    torch.cuda.synchronize(other)
    add(other).launch((1,), (1,), (cell.data_ptr(), 4, np.float32(1.0)))
    assert cell.item() == 4
    assert torch.cuda.current_device() == before


def test_too_large_a_block_is_refused(gpu: torch.device) -> None:
    """And the process goes on."""
    cell = torch.zeros(1, dtype=torch.int64, device=gpu)
    with pytest.raises(CudaError, match='add was not launched') as told:
        add(gpu).launch((1,), (4096,), (cell.data_ptr(), 1, np.float32(1.0)))
    assert not told.value.sticky
    assert cell.item() == 0


def test_a_transform_costs_the_host_little(gpu: torch.device) -> None:
    """The median of the whole call; the bound leaves room for a slow host."""
    transform, spec = CupyTransform(gpu), TensorSpec(640, 480)
    layout = ImageFormat(640, 480, 'rgb8', 1920)
    data = torch.zeros(layout.nbytes, dtype=torch.uint8, device=gpu)
    transform(data, layout, spec)
    took = []
    for _ in range(300):
        begin = time.perf_counter()
        transform(data, layout, spec)
        took.append(time.perf_counter() - begin)
        torch.cuda.synchronize(gpu)
    median_us = sorted(took)[150] * 1e6
    print(f'{median_us:.1f} us')
    assert median_us < 35
