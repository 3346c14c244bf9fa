# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The kernels that pool regions against torchvision's on the device, and inside a graph."""

from __future__ import annotations

import pytest
from region_pyramid import every_kind_of_box
from region_pyramid import pyramid
from region_pyramid import torchvision_pools
import torch
from torchvision.ops import MultiScaleRoIAlign

from gpu_runtime.models.detectors.region_pool import RegionPool

pytestmark = pytest.mark.gpu

IMAGE_HW = (800, 1067)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ORDERS = (torch.contiguous_format, torch.channels_last)


def on_device(
    device: torch.device, dtype: torch.dtype, order: torch.memory_format, channels: int = 256
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the maps of a picture and a thousand regions."""
    maps = pyramid(4, channels, dtype, order, IMAGE_HW)
    boxes = every_kind_of_box(IMAGE_HW, random=982)
    return {name: level.to(device) for name, level in maps.items()}, boxes.to(device)


@pytest.mark.parametrize('channels', [256, 12])
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('dtype', DTYPES)
def test_equals_torchvision(
    gpu: torch.device,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    order: torch.memory_format,
    channels: int,
) -> None:
    def not_the_kernels(*_: object) -> torch.Tensor:
        raise AssertionError('every level was pooled from')

    monkeypatch.setattr(RegionPool, '_from_every_level', not_the_kernels)
    maps, boxes = on_device(gpu, dtype, order, channels)
    pool = MultiScaleRoIAlign(list(maps), 7, 2)
    want = torchvision_pools(pool, maps, boxes, IMAGE_HW)
    got = RegionPool(pool)(maps, boxes, IMAGE_HW)
    assert got.dtype == dtype
    assert got.is_contiguous()
    rounding = {torch.float32: 0.0, torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    apart = (got.float() - want).abs() - rounding * want.abs()
    # A place's last bit is 1.5e-5 of a pixel, and noise changes by up to 8 from pixel to pixel.
    assert apart.max() < 3e-4
    assert (apart < 1e-5).float().mean() > 0.99


def test_broken_boxes_are_harmless(gpu: torch.device) -> None:
    maps, boxes = on_device(gpu, torch.float16, torch.channels_last)
    broken = boxes.clone()
    for row, value in enumerate((torch.nan, torch.inf, -torch.inf, 1e30, -1e30)):
        broken[row, row % 4] = value
    pool = RegionPool(MultiScaleRoIAlign(list(maps), 7, 2))
    pooled = pool(maps, broken, IMAGE_HW)
    assert pooled.isfinite().all()
    assert torch.equal(pooled[5:], pool(maps, boxes, IMAGE_HW)[5:])


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_runs_inside_a_captured_graph(gpu: torch.device, dtype: torch.dtype) -> None:
    order = torch.channels_last if dtype is torch.float16 else torch.contiguous_format
    maps, boxes = on_device(gpu, dtype, order)
    pool = MultiScaleRoIAlign(list(maps), 7, 2)
    ours = RegionPool(pool)
    ours(maps, boxes, IMAGE_HW)
    torch.cuda.synchronize(gpu)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode='thread_local'):
        pooled = ours(maps, boxes, IMAGE_HW)
    for _ in range(3):
        boxes.copy_(boxes.flip(0) * 0.9)
        for level in maps.values():
            level.mul_(-1)
        graph.replay()
        torch.cuda.synchronize(gpu)
        want = ours(maps, boxes, IMAGE_HW)
        assert torch.equal(pooled, want)


def test_never_waits_and_allocates_nothing_but_the_result(gpu: torch.device) -> None:
    maps, boxes = on_device(gpu, torch.float16, torch.channels_last)
    ours = RegionPool(MultiScaleRoIAlign(list(maps), 7, 2))
    stream = torch.cuda.Stream(gpu)
    torch.cuda.synchronize(gpu)
    with torch.cuda.stream(stream):
        ours(maps, boxes, IMAGE_HW)
        before = torch.cuda.memory_stats(gpu)
        torch.cuda.set_sync_debug_mode('error')
        try:
            torch.cuda._sleep(1_000_000_000)  # a latch: half a second of device time
            pooled = ours(maps, boxes, IMAGE_HW)
            still_busy = not stream.query()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    after = torch.cuda.memory_stats(gpu)
    assert still_busy
    assert after['allocation.all.allocated'] - before['allocation.all.allocated'] == 1
    torch.cuda.synchronize(gpu)
    assert pooled.any()
