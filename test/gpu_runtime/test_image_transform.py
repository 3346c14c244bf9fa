# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The torch image transform: encodings, channels, layouts, fits, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from transform_pictures import as_bytes
from transform_pictures import CPU
from transform_pictures import prepare
from transform_pictures import random_picture
from transform_pictures import TO_RGB

from gpu_runtime.affine_map import boxes_to_source
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms.cupy_transform import CupyTransform
from gpu_runtime.transforms.torch_transform import TorchTransform


@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('encoding', sorted(TO_RGB))
@pytest.mark.parametrize('target_wh', [(33, 21), (16, 40)])
def test_every_encoding_and_step_gives_the_same_tensor(
    encoding: str, padding: int, target_wh: tuple[int, int]
) -> None:
    picture = random_picture(33, 21)
    spec = TensorSpec(*target_wh, channels='bgr', mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = prepare(picture, spec).tensor
    torch.testing.assert_close(
        prepare(picture, spec, encoding, padding).tensor, expected, rtol=0, atol=1e-6
    )


def test_mono_picture_fills_every_channel() -> None:
    grey = random_picture(20, 10, 1)
    colour = np.repeat(grey, 3, axis=2)
    spec = TensorSpec(13, 13, Fit.LETTERBOX_CENTER)
    torch.testing.assert_close(
        prepare(grey, spec, 'mono8', padding=3).tensor, prepare(colour, spec).tensor
    )


@pytest.mark.parametrize('encoding', sorted(TO_RGB))
def test_mono_tensor_is_luma(encoding: str) -> None:
    picture = random_picture(19, 11)
    spec = TensorSpec(0, 0, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    expected = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(
        prepare(picture, spec, encoding).tensor[0, 0].numpy(), expected, rtol=0, atol=1e-3
    )


def test_normalisation_is_per_output_channel() -> None:
    picture = np.full((1, 1, 3), (51, 102, 204), dtype=np.uint8)
    spec = TensorSpec(1, 1, channels='bgr', mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    expected = [(0.8 - 0.1) / 0.5, (0.4 - 0.2) / 1.0, (0.2 - 0.3) / 2.0]
    assert prepare(picture, spec).tensor.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_layout_and_dtype(dtype: torch.dtype) -> None:
    picture = random_picture(40, 30)
    nchw = prepare(picture, TensorSpec(32, 32, Fit.LETTERBOX_CENTER)).tensor
    spec = TensorSpec(32, 32, Fit.LETTERBOX_CENTER, layout=Layout.NHWC, dtype=dtype)
    nhwc = prepare(picture, spec).tensor
    assert nhwc.shape == (1, 32, 32, 3)
    assert nhwc.dtype == dtype
    assert nhwc.is_contiguous()
    torch.testing.assert_close(nhwc.permute(0, 3, 1, 2).float(), nchw, rtol=0, atol=5e-4)


@pytest.mark.parametrize(('fit', 'top'), [(Fit.LETTERBOX_CENTER, 8), (Fit.LETTERBOX_TOP_LEFT, 0)])
def test_letterbox_places_the_picture_and_pads_the_rest(fit: Fit, top: int) -> None:
    picture = np.full((16, 32, 3), 255, dtype=np.uint8)
    spec = TensorSpec(32, 32, fit, pad=114.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    prepared = prepare(picture, spec)
    inside = prepared.tensor[0, :, top : top + 16]
    torch.testing.assert_close(inside, torch.full((3, 16, 32), 2.0))
    outside = prepared.tensor.sum() - inside.sum()
    assert outside.item() == pytest.approx(3 * 16 * 32 * (114 / 255 - 0.5) / 0.25, rel=1e-4)
    assert (prepared.map.offset_x, prepared.map.offset_y) == (0.0, float(top))


def test_size_zero_keeps_the_picture_and_pads_to_a_multiple() -> None:
    picture = random_picture(33, 19)
    prepared = prepare(picture, TensorSpec(0, 0, scale=1.0, pad=7.0, multiple=32))
    assert prepared.tensor.shape == (1, 3, 32, 64)
    kept = prepared.tensor[0, :, :19, :33].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(kept, picture.astype(np.float32))
    assert (prepared.tensor[0, :, 19:] == 7).all()
    assert (prepared.tensor[0, :, :, 33:] == 7).all()


@pytest.mark.parametrize('fit', list(Fit))
@pytest.mark.parametrize('source_wh', [(200, 100), (101, 203), (64, 64)])
def test_boxes_return_to_the_pixels_they_came_from(fit: Fit, source_wh: tuple[int, int]) -> None:
    width, height = source_wh
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    left, top, right, bottom = width // 5, height // 4, width // 2, height * 3 // 4
    picture[top:bottom, left:right] = 255
    prepared = prepare(picture, TensorSpec(160, 160, fit, pad=0.0))
    bright = (prepared.tensor[0, 0] > 0.5).nonzero()
    low, high = bright.min(dim=0).values, bright.max(dim=0).values + 1
    box = torch.tensor([[low[1], low[0], high[1], high[0]]], dtype=torch.float32)
    source = boxes_to_source(box, torch.tensor(prepared.map.numbers))[0]
    pixel = 0.5 / min(prepared.map.scale_x, prepared.map.scale_y) + 0.5
    expected = torch.tensor([left, top, right, bottom], dtype=torch.float32)
    torch.testing.assert_close(source, expected, rtol=0, atol=pixel)


def test_data_may_be_a_slice_of_a_larger_slab() -> None:
    data, format = as_bytes(random_picture(17, 9), 'bgr8', padding=5)
    slab = torch.cat((torch.zeros(41, dtype=torch.uint8), data, torch.zeros(9, dtype=torch.uint8)))
    transform, spec = TorchTransform(CPU), TensorSpec(8, 8)
    expected = transform(data, format, spec).tensor
    torch.testing.assert_close(transform(slab[41:], format, spec).tensor, expected)


def test_the_picture_is_left_as_it_was_and_the_tensor_is_new() -> None:
    data, format = as_bytes(random_picture(12, 12), 'rgb8')
    before = data.clone()
    transform, spec = TorchTransform(CPU), TensorSpec(0, 0)
    first, second = transform(data, format, spec), transform(data, format, spec)
    first.tensor.zero_()
    assert torch.equal(data, before)
    assert second.tensor.abs().sum() > 0
    assert second.spec is spec


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (torch.zeros(11, dtype=torch.uint8), '11 bytes'),
        (torch.zeros(12, dtype=torch.float32), 'float32'),
        (torch.zeros((2, 6), dtype=torch.uint8), r'\(2, 6\)'),
        (torch.zeros(24, dtype=torch.uint8)[::2], 'contiguous'),
        (torch.zeros(12, dtype=torch.uint8, device='meta'), 'meta'),
    ],
)
def test_unfit_data_is_refused(data: torch.Tensor, message: str) -> None:
    with pytest.raises(SpecMismatchError, match=message):
        make_image_transform(CPU)(data, ImageFormat(2, 2, 'rgb8', 6), TensorSpec(2, 2))


def test_the_factory_gives_torch_on_the_cpu_and_the_kernel_refuses_it() -> None:
    assert isinstance(make_image_transform(CPU), TorchTransform)
    with pytest.raises(SpecMismatchError, match='make_image_transform'):
        CupyTransform(CPU)
