# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What an image may claim about itself, and the arithmetic of its bytes."""

from __future__ import annotations

import pytest

from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_format import MAX_SIDE_PX


@pytest.mark.parametrize(
    ('encoding', 'channels'), [('rgb8', 3), ('bgr8', 3), ('rgba8', 4), ('bgra8', 4), ('mono8', 1)]
)
def test_bytes_of_a_padded_picture(encoding: str, channels: int) -> None:
    format = ImageFormat(10, 4, encoding, 64)
    assert (format.channels, format.row_nbytes, format.nbytes) == (channels, 10 * channels, 256)


def test_channels_of_red_green_and_blue_are_inside_the_pixel() -> None:
    for name, encoding in ENCODINGS.items():
        assert encoding.name == name
        assert all(0 <= channel < encoding.channels for channel in encoding.rgb)
    assert ENCODINGS['rgb8'].rgb == ENCODINGS['bgr8'].rgb[::-1]


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
