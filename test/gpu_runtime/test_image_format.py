# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What an image may claim about itself, and the arithmetic of its bytes."""

from __future__ import annotations

import pytest

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_format import MAX_SIDE_PX
from gpu_runtime.pixel_kind import PixelKind


@pytest.mark.parametrize(
    ('encoding', 'pixel_nbytes'),
    [
        ('rgb8', 3),
        ('bgr8', 3),
        ('rgba8', 4),
        ('bgra8', 4),
        ('mono8', 1),
        ('mono16', 2),
        ('16UC1', 2),
        ('32FC1', 4),
        ('yuv422', 2),
        ('yuv422_yuy2', 2),
        ('bayer_rggb8', 1),
    ],
)
def test_bytes_of_a_padded_picture(encoding: str, pixel_nbytes: int) -> None:
    format = ImageFormat(10, 4, encoding, 64)
    assert (format.row_nbytes, format.nbytes) == (10 * pixel_nbytes, 256)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_a_plane_of_chroma_lies_below_that_of_luma(encoding: str) -> None:
    format = ImageFormat(10, 4, encoding, 64)
    assert (format.row_nbytes, format.data_rows, format.nbytes) == (10, 6, 64 * 6)
    format.require_nbytes(64 * 6)
    with pytest.raises(SpecMismatchError, match=r'256 bytes; .* and of its chroma needs 384'):
        format.require_nbytes(256)


def test_places_are_inside_the_pixel_or_the_block_of_pixels() -> None:
    for name, encoding in ENCODINGS.items():
        assert encoding.name == name
        block = 2 if encoding.kind.yuv or encoding.kind is PixelKind.BAYER else 1
        assert all(0 <= place < encoding.channels * block for place in encoding.order)
    assert ENCODINGS['rgb8'].order == ENCODINGS['bgr8'].order[::-1]


@pytest.mark.parametrize(
    ('width', 'height', 'encoding', 'step', 'said'),
    [
        (4, 4, 'rgb16', 64, "'rgb16'.*expected one of rgb8"),
        (4, 4, '', 64, "''.*expected one of rgb8"),
        (0, 4, 'rgb8', 64, '0x4 px'),
        (4, -1, 'rgb8', 64, '4x-1 px'),
        (MAX_SIDE_PX + 1, 1, 'mono8', 1 << 20, 'out of range'),
        (4, 4, 'rgb8', 11, 'step 11 is too small; 4 px of rgb8 need at least 12'),
        (4, 4, 'rgb8', 0, 'step 0 is too small'),
        (4, 4, 'rgb8', 2**31, 'step 2147483648 is out of range'),
        (4, 4, 'mono16', 7, '4 px of mono16 need at least 8'),
        (4, 4, '32FC1', 15, '4 px of 32FC1 need at least 16'),
        (4, 4, 'yuv422', 7, '4 px of yuv422 need at least 8'),
        (5, 4, 'yuv422', 64, '5x4 px does not fit yuv422, .* expected an even width'),
        (5, 4, 'nv12', 64, '5x4 px does not fit nv12, .* expected even width and height'),
        (4, 5, 'nv21', 64, '4x5 px does not fit nv21'),
        (2, 9, 'bayer_rggb8', 64, '2x9 px is too small for bayer_rggb8; expected at least 3'),
    ],
)
def test_nonsense_is_refused_by_name(
    width: int, height: int, encoding: str, step: int, said: str
) -> None:
    with pytest.raises(SpecMismatchError, match=said) as caught:
        ImageFormat(width, height, encoding, step)
    assert isinstance(caught.value, GpuPerceptionError)
    assert isinstance(caught.value, ValueError)


def test_limits_are_inclusive() -> None:
    assert ImageFormat(MAX_SIDE_PX, 1, 'mono8', MAX_SIDE_PX).nbytes == MAX_SIDE_PX
    assert ImageFormat(1, 1, 'rgb8', 3).nbytes == 3


def test_a_short_buffer_is_refused_and_a_long_one_is_not() -> None:
    format = ImageFormat(4, 2, 'mono8', 8)
    format.require_nbytes(16)
    format.require_nbytes(17)
    with pytest.raises(SpecMismatchError, match='has 15 bytes; step 8 x height 2 needs 16'):
        format.require_nbytes(15)


def test_equal_formats_are_one_key() -> None:
    assert len({ImageFormat(4, 2, 'mono8', 8), ImageFormat(4, 2, 'mono8', 8)}) == 1
