# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The image transform is as fast as the memory lets it be, and faster than torchvision."""

from __future__ import annotations

from image_transform import Case
from image_transform import copied_bytes_per_s
from image_transform import fused
from image_transform import launch_s
from image_transform import replayed_s
from image_transform import torchvision_of
import pytest
import torch

pytestmark = pytest.mark.gpu


def test_a_camera_picture_costs_at_most_twice_its_bytes_and_a_launch(gpu: torch.device) -> None:
    """1920x1200 rgb8 to 640x640 float16 planes, averaged; the bound is of an H100 or larger."""
    if torch.cuda.get_device_capability(gpu) < (9, 0):
        pytest.skip('the bound is stated for the GPUs of data centres from the H100 on')
    case = Case('rgb8')
    took_s = replayed_s(fused(case), case.pictures())
    bytes_s, empty_s = case.nbytes / copied_bytes_per_s(), launch_s()
    print(f'{took_s * 1e6:.2f} us; bytes {bytes_s * 1e6:.2f}, launch {empty_s * 1e6:.2f}')
    assert took_s <= 2 * bytes_s + empty_s


@pytest.mark.parametrize('antialias', [True, False])
@pytest.mark.parametrize('size', [(1920, 1200, 640), (640, 480, 416), (1280, 720, 416)])
def test_it_is_faster_than_torchvision(
    gpu: torch.device, size: tuple[int, int, int], antialias: bool
) -> None:
    """On the device, where torchvision's launches cost least: in a graph."""
    case = Case('rgb8', *size, antialias=antialias)
    other = torchvision_of(case)
    assert other is not None
    inputs = case.pictures()
    assert replayed_s(fused(case), inputs) < replayed_s(other, inputs)


def test_torchvision_does_the_same_work(gpu: torch.device) -> None:
    """Otherwise the comparison says nothing; it rounds to whole colours in between."""
    case = Case('rgb8', dtype=torch.float32)
    other = torchvision_of(case)
    assert other is not None
    data = case.pictures()[0]
    got, expected = fused(case)(data).tensor, other(data)
    torch.testing.assert_close(got, expected, rtol=0, atol=1.0 / 255)
