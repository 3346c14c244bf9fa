# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pooling of regions, on every level and by the source of the kernels, against torchvision."""

from __future__ import annotations

from host_cuda import compile_for_gpu
from host_cuda import HostKernel
import pytest
from region_pyramid import every_kind_of_box
from region_pyramid import IMAGE_HW
from region_pyramid import pyramid
from region_pyramid import torchvision_pools
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.ops import MultiScaleRoIAlign

from gpu_runtime.models.detectors import cuda_region_pool
from gpu_runtime.models.detectors import region_pool
from gpu_runtime.models.detectors import region_pool_kernel
from gpu_runtime.models.detectors.cuda_region_pool import compile_options
from gpu_runtime.models.detectors.cuda_region_pool import has_vectors
from gpu_runtime.models.detectors.cuda_region_pool import is_poolable
from gpu_runtime.models.detectors.region_pool import RegionPool

CPU = torch.device('cpu')
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ORDERS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('size', [(7, 7), (14, 14), (2, 5)])
def test_the_kernels_compile_without_a_gpu(dtype: torch.dtype, size: tuple[int, int]) -> None:
    for ratio in (1, 2):
        ptx = compile_for_gpu(region_pool_kernel.SOURCE, compile_options(dtype, size, ratio))
        assert ptx.count(b'.visible .entry') == 2
        # A thread reads the corners of a sample 16 bytes at a time.
        assert ptx.count(b'ld.global.v4') >= 4


def test_the_parameter_block_has_the_layout_of_the_c_struct() -> None:
    fields = region_pool_kernel.PARAMETERS.fields or {}
    level, offset = fields['levels'][:2]
    assert (level.itemsize, offset) == (32 * region_pool_kernel.MOST_LEVELS, 0)
    assert f'Level levels[{region_pool_kernel.MOST_LEVELS}];' in region_pool_kernel.SOURCE
    assert [fields[name][1] - level.itemsize for name in ('channels', 'epsilon')] == [0, 20]
    assert region_pool_kernel.PARAMETERS.itemsize == level.itemsize + 24


@pytest.fixture
def host_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what is launched as C++, on the host."""
    pytest.importorskip('cupy', reason='cupy is not installed')
    monkeypatch.setattr(cuda_region_pool, 'CupyKernel', HostKernel)
    monkeypatch.setattr(region_pool, 'is_poolable', lambda *_: True)
    region_pool._kernels.cache_clear()


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize(
    ('channels', 'size', 'ratio', 'levels'),
    [
        (16, 7, 2, 4),
        (12, 7, 2, 4),  # no whole group of 8
        (520, 3, 2, 2),  # more groups than a block has
        (24, 14, 2, 5),
        (8, (2, 5), 3, 1),
    ],
)
def test_the_source_of_the_kernels_pools_what_torchvision_does(
    host_kernels: None,
    channels: int,
    size: int | tuple[int, int],
    ratio: int,
    levels: int,
    dtype: torch.dtype,
    order: torch.memory_format,
) -> None:
    maps = pyramid(levels, channels, dtype, order)
    whole = channels * dtype.itemsize % 16 == 0
    assert has_vectors(list(maps.values())) == (order is torch.channels_last and whole)
    pool = MultiScaleRoIAlign(list(maps), size, ratio)
    boxes = every_kind_of_box()
    want = torchvision_pools(pool, maps, boxes)
    got = RegionPool(pool)(maps, boxes, IMAGE_HW)
    assert got.dtype == dtype
    assert got.is_contiguous()
    torch.testing.assert_close(got, want.to(dtype), rtol=0, atol=1e-5)


@pytest.mark.parametrize('dtype', DTYPES)
def test_every_level_gives_what_torchvision_does(dtype: torch.dtype) -> None:
    maps, boxes = pyramid(4, 6, dtype), every_kind_of_box()
    pool = MultiScaleRoIAlign(list(maps), 7, 2)
    want = torchvision_pools(pool, maps, boxes)
    assert torch.equal(RegionPool(pool)(maps, boxes, IMAGE_HW), want.to(dtype))


def test_maps_that_no_region_is_pooled_from_are_left_out(host_kernels: None) -> None:
    maps, boxes = pyramid(4, 8, torch.float32), every_kind_of_box()
    pool = MultiScaleRoIAlign(['0', '1', '2'], 7, 2)
    want = torchvision_pools(pool, maps, boxes)
    torch.testing.assert_close(RegionPool(pool)(maps, boxes, IMAGE_HW), want, rtol=0, atol=1e-5)


def test_broken_boxes_read_nothing_outside_of_the_maps(host_kernels: None) -> None:
    boxes = torch.tensor([[0.0, 0.0, 50.0, 50.0]]).repeat(6, 1)
    for number, value in enumerate((torch.nan, torch.inf, -torch.inf, 1e30, -1e30)):
        boxes[number, number % 4] = value
    maps = pyramid(4, 8, torch.float16, torch.channels_last)
    pooled = RegionPool(MultiScaleRoIAlign(list(maps), 7, 2))(maps, boxes, IMAGE_HW)
    assert pooled.isfinite().all()
    assert pooled[5].any()


def test_no_regions(host_kernels: None) -> None:
    maps = pyramid(2, 8, torch.float32)
    pool = RegionPool(MultiScaleRoIAlign(list(maps), 7, 2))
    assert pool(maps, torch.zeros(0, 4), IMAGE_HW).shape == (0, 8, 7, 7)


def test_only_tensors_with_values_on_a_device_are_pooled_by_kernels() -> None:
    octaves = [-2, -3, -4, -5]
    on_host = list(pyramid(4, 8, torch.float32).values())
    assert not is_poolable(on_host, torch.zeros(1, 4), octaves)
    with FakeTensorMode():
        maps = [torch.empty(1, 8, 4, 4, device='cuda') for _ in octaves]
        boxes = torch.empty(3, 4, device='cuda')
        assert boxes.is_cuda
        assert not is_poolable(maps, boxes, octaves)


def test_without_cupy_torchvisions_kernel_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ImportError('no cupy')

    monkeypatch.setattr(region_pool, 'is_poolable', lambda *_: True)
    monkeypatch.setattr(region_pool, 'CudaRegionPool', missing)
    region_pool._kernels.cache_clear()
    maps, boxes = pyramid(4, 8, torch.float32), every_kind_of_box()
    pool = MultiScaleRoIAlign(list(maps), 7, 2)
    want = torchvision_pools(pool, maps, boxes)
    assert torch.equal(RegionPool(pool)(maps, boxes, IMAGE_HW), want)
    region_pool._kernels.cache_clear()


def test_as_many_samples_as_pixels_are_left_to_torchvision(host_kernels: None) -> None:
    maps, boxes = pyramid(4, 8, torch.float32), every_kind_of_box()
    pool = MultiScaleRoIAlign(list(maps), 7, 0)
    before = HostKernel.launches
    pooled = RegionPool(pool)(maps, boxes, IMAGE_HW)
    assert torch.equal(pooled, torchvision_pools(pool, maps, boxes))
    assert HostKernel.launches == before


@pytest.mark.parametrize('unaligned', [False, True])
def test_maps_that_begin_between_16_bytes_are_not_read_as_vectors(unaligned: bool) -> None:
    memory = torch.zeros(8 * 4 * 4 + 1)[int(unaligned) :][: 8 * 4 * 4]
    level = memory.view(1, 4, 4, 8).permute(0, 3, 1, 2)
    assert has_vectors([level]) is not unaligned
