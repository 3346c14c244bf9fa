# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the torch image transform makes of each encoding, against OpenCV and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from transform_pictures import as_bytes
from transform_pictures import channel_choices
from transform_pictures import CPU
from transform_pictures import noise_of
from transform_pictures import prepare
from transform_pictures import random_picture

from gpu_runtime.drawable import drawable_pixels
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_ops import Picture
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform

SAME = TensorSpec(0, 0, scale=1.0)
DEPTH = TensorSpec(0, 0, channels='depth', scale=1.0, mean=(0.0,), std=(1.0,), pad=0.0)
# OpenCV names a Bayer pattern by the second and third pixel of its second row.
OPENCV = {
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUYV,
    'yuyv': cv2.COLOR_YUV2RGB_YUYV,
    'nv12': cv2.COLOR_YUV2RGB_NV12,
    'nv21': cv2.COLOR_YUV2RGB_NV21,
}


@pytest.fixture(scope='module')
def context() -> Iterator[GpuContext]:
    """Own a device."""
    context = GpuContext('cpu')
    yield context
    assert context.close() == []


def rows_of(data: torch.Tensor, format: ImageFormat) -> npt.NDArray[np.uint8]:
    """Return the rows as OpenCV takes them, without padding."""
    rows = data.numpy().reshape(format.data_rows, format.step)[:, : format.row_nbytes]
    if format.channels > 1:
        rows = rows.reshape(format.height, format.width, format.channels)
    return np.ascontiguousarray(rows)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', list(OPENCV))
def test_colours_are_those_of_opencv(encoding: str, padding: int) -> None:
    """Debayering is exact but for rounding to a whole; YUV is one off at most."""
    data, format = noise_of(encoding, 46, 34, padding)
    expected = cv2.cvtColor(rows_of(data, format), OPENCV[encoding]).astype(np.float32)
    got = TorchTransform(CPU, exact=True)(data, format, SAME).tensor[0].permute(1, 2, 0).numpy()
    tolerance = 0.5 if encoding.startswith('bayer') else 1.0
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize('wh', [(3, 3), (5, 3), (4, 7)])
def test_small_and_odd_bayer_pictures_are_those_of_opencv(wh: tuple[int, int]) -> None:
    data, format = noise_of('bayer_grbg8', *wh)
    expected = cv2.cvtColor(rows_of(data, format), OPENCV['bayer_grbg8']).astype(np.float32)
    got = TorchTransform(CPU)(data, format, SAME).tensor[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.5)


@pytest.mark.parametrize('encoding', list(OPENCV))
@pytest.mark.parametrize('exact', [True, False])
def test_a_smaller_picture_is_that_of_the_colours(encoding: str, exact: bool) -> None:
    """Resizing chroma and then converting is converting and then resizing, but for clipping."""
    data, format = noise_of(encoding, 60, 40, 2)
    if not encoding.startswith('bayer'):
        data = data // 4 + 96  # legal colours, which nothing clips
    whole = TorchTransform(CPU, exact=True)(data, format, SAME).tensor[0].permute(1, 2, 0)
    smaller = TensorSpec(25, 17, scale=1.0)
    got = TorchTransform(CPU, exact=exact)(data, format, smaller).tensor
    rounded, layout = as_bytes(whole.round().to(torch.uint8).numpy(), 'rgb8')
    expected = TorchTransform(CPU, exact=True)(rounded, layout, smaller).tensor
    # Rounded once to whole colours, and by the averaging in 8 bits twice more, times 2.018.
    torch.testing.assert_close(got, expected, rtol=0, atol=0.6 if exact else 3.0)


def test_black_and_white_of_video_are_black_and_white() -> None:
    """Luma of 16 to 235 is 0 to 255; beyond it is clipped."""
    luma = np.array([[0, 16], [235, 255]], np.uint8)
    data = np.concatenate((luma, np.full((1, 2), 128, np.uint8)))
    tensor = prepare(data, SAME, 'nv12').tensor
    assert tensor[0, :, 0].eq(0).all()
    torch.testing.assert_close(tensor[0, :, 1], torch.full((3, 2), 255.0), rtol=0, atol=0.1)


def test_mono16_uses_its_whole_range() -> None:
    numbers = np.array([[0, 257, 25700, 65535]], np.uint16)[:, :, None]
    tensor = prepare(numbers, SAME, 'mono16', padding=3).tensor
    torch.testing.assert_close(tensor[0, :, 0], torch.tensor([[0.0, 1.0, 100.0, 255.0]] * 3))


def test_mono16_is_the_mono8_that_it_was_made_of() -> None:
    grey = random_picture(33, 21, 1)
    spec = TensorSpec(16, 40, Fit.LETTERBOX_CENTER)
    torch.testing.assert_close(
        prepare(grey.astype(np.uint16) * 257, spec, 'mono16', padding=1).tensor,
        TorchTransform(CPU, exact=True)(*as_bytes(grey, 'mono8'), spec).tensor,
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ('encoding', 'numbers'), [('16UC1', [1500, 65535]), ('32FC1', [1.5, 65.535])]
)
def test_depth_is_metres(encoding: str, numbers: list[float]) -> None:
    rows = np.array([numbers], np.uint16 if encoding == '16UC1' else np.float32)[:, :, None]
    tensor = prepare(rows, DEPTH, encoding, padding=5).tensor
    torch.testing.assert_close(tensor, torch.tensor([[[[1.5, 65.535]]]]))


def test_invalid_depth_is_zero_and_spreads_to_no_neighbour() -> None:
    """A tensor pixel is the mean of the valid ones under it, and zero where there is none."""
    nothing = [np.nan, np.inf, -np.inf, -1.0, 0.0]
    for invalid in nothing:
        rows = np.full((4, 8, 1), 2.0, np.float32)
        rows[:, :4] = invalid
        rows[0, 6] = invalid
        tensor = prepare(rows, DEPTH, '32FC1').tensor
        assert tensor.isfinite().all()
        assert tensor[0, 0].eq(2.0).sum() == 15
        half = TensorSpec(
            4, 2, channels='depth', scale=1.0, mean=(0.0,), std=(1.0,), antialias=False
        )
        expected = torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 2)[None, None]
        torch.testing.assert_close(prepare(rows, half, '32FC1').tensor, expected)


@pytest.mark.parametrize('encoding', list(ENCODINGS))
def test_what_is_no_picture_is_not_read_as_one(encoding: str) -> None:
    """Nor a picture as depth: the error says what to connect."""
    data, format = noise_of(encoding, 8, 6)
    spec = SAME if channel_choices(encoding) == ('depth',) else DEPTH
    with pytest.raises(SpecMismatchError, match=f'{encoding}.*publish 16-bit intensities'):
        TorchTransform(CPU)(data, format, spec)


@pytest.mark.parametrize('encoding', list(ENCODINGS))
def test_every_encoding_but_depth_can_be_drawn_on(context: GpuContext, encoding: str) -> None:
    """In 8 bits as it came, else as rgb8 of the same colours; the operations read the same."""
    data, format = noise_of(encoding, 20, 12, 4)
    frame = context.frame(Header(1, 'camera'), format, data.numpy())
    with context.streams.lease('test') as stream:
        if channel_choices(encoding) == ('depth',):
            for read in (drawable_pixels, Picture.of):
                with pytest.raises(SpecMismatchError, match=encoding):
                    read(frame, stream)
            context.streams.release(stream)
            return
        pixels, layout = drawable_pixels(frame, stream)
        picture = Picture.of(frame, stream)
        context.streams.release(stream)
    if ENCODINGS[encoding].drawable:
        assert layout == format
        assert torch.equal(pixels, data)
        assert picture.encoding == encoding
        return
    assert (layout.encoding, layout.step, pixels.numel()) == ('rgb8', 60, 60 * 12)
    assert picture.encoding == ('mono8' if encoding == 'mono16' else 'rgb8')
    expected = TorchTransform(CPU)(data, format, SAME).tensor[0].permute(1, 2, 0)
    torch.testing.assert_close(
        pixels.reshape(12, 20, 3).to(torch.float32), expected, rtol=0, atol=0.5
    )
    written: Any = picture.pixels()[:, :, :1].to(torch.float32)
    torch.testing.assert_close(written, expected[:, :, :1], rtol=0, atol=0.5)
