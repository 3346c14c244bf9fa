# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Each operation against OpenCV's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
from image_ops_bench import Apply
from image_ops_bench import difference
from image_ops_bench import GREY
from image_ops_bench import NOISE
from image_ops_bench import Pixels
from image_ops_bench import RGB
import numpy as np
import pytest

from gpu_runtime.encoding import ENCODINGS


def on_luma(change: Callable[[Pixels], Pixels], rgb: Pixels) -> Pixels:
    """Return a picture with its luma changed the way OpenCV's users do it."""
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    planes[:, :, 0] = change(planes[:, :, 0])
    return cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB)


def gamma_table(value: float) -> Pixels:
    """Return the table that cv2.LUT takes."""
    return np.rint((np.arange(256) / 255.0) ** value * 255.0).astype(np.uint8)


def clahe(limit: float, tiles: tuple[int, int]) -> Callable[[Pixels], Pixels]:
    """Return OpenCV's."""
    return cv2.createCLAHE(limit, tiles).apply


# Operation, OpenCV's version of it, and the tolerance: largest difference of 255.
EXACT_AS_OPENCV: list[tuple[str, Callable[[Pixels], Pixels], int]] = [
    ('resize width=320 height=200', lambda x: cv2.resize(x, (320, 200)), 1),
    ('resize width=701 height=555', lambda x: cv2.resize(x, (701, 555)), 1),
    (
        'resize width=300 height=222 interpolation=nearest',
        lambda x: cv2.resize(x, (300, 222), interpolation=cv2.INTER_NEAREST),
        0,
    ),
    (
        'resize width=70 height=37 interpolation=area',
        lambda x: cv2.resize(x, (70, 37), interpolation=cv2.INTER_AREA),
        1,
    ),
    (
        'resize width=600 height=222 interpolation=cubic',
        lambda x: cv2.resize(x, (600, 222), interpolation=cv2.INTER_CUBIC),
        1,
    ),
    ('crop x=7 y=9 width=40 height=31', lambda x: x[9:40, 7:47], 0),
    ('crop x=7 y=9', lambda x: x[9:, 7:], 0),
    ('flip', lambda x: cv2.flip(x, 1), 0),
    ('flip axis=vertical', lambda x: cv2.flip(x, 0), 0),
    ('flip axis=both', lambda x: cv2.flip(x, -1), 0),
    ('rotate angle=90', lambda x: cv2.rotate(x, cv2.ROTATE_90_COUNTERCLOCKWISE), 0),
    ('rotate angle=-90', lambda x: cv2.rotate(x, cv2.ROTATE_90_CLOCKWISE), 0),
    ('rotate angle=180', lambda x: cv2.rotate(x, cv2.ROTATE_180), 0),
    ('rotate angle=360', lambda x: x, 0),
    ('gaussian_blur sigma=0.6', lambda x: cv2.GaussianBlur(x, (0, 0), 0.6), 1),
    ('gaussian_blur sigma=1.5', lambda x: cv2.GaussianBlur(x, (0, 0), 1.5), 1),
    ('gaussian_blur sigma=7', lambda x: cv2.GaussianBlur(x, (0, 0), 7), 1),
    ('median', lambda x: cv2.medianBlur(x, 3), 0),
    ('median size=5', lambda x: cv2.medianBlur(x, 5), 0),
    (
        'sharpen amount=1.5 sigma=2',
        lambda x: cv2.addWeighted(x, 2.5, cv2.GaussianBlur(x, (0, 0), 2), -1.5, 0),
        3,
    ),
    ('gamma value=0.7', lambda x: cv2.LUT(x, gamma_table(0.7)), 1),
    ('gamma value=2.2', lambda x: cv2.LUT(x, gamma_table(2.2)), 1),
    (
        'brightness_contrast brightness=-20 contrast=1.4',
        lambda x: cv2.addWeighted(x, 1.4, x, 0, -20),
        1,
    ),
]
ON_LUMA: list[tuple[str, Callable[[Pixels], Pixels]]] = [
    ('equalize', cv2.equalizeHist),
    ('clahe', clahe(2.0, (8, 8))),
    ('clahe clip_limit=40 tiles_x=6 tiles_y=4', clahe(40.0, (6, 4))),
    ('clahe clip_limit=3.3 tiles_x=7 tiles_y=5', clahe(3.3, (7, 5))),
]


@pytest.mark.parametrize(
    ('text', 'reference', 'tolerance'), EXACT_AS_OPENCV, ids=[c[0] for c in EXACT_AS_OPENCV]
)
@pytest.mark.parametrize('pixels', [RGB, GREY, NOISE], ids=['rgb', 'grey', 'noise'])
def test_as_opencv(
    apply: Apply, pixels: Pixels, text: str, reference: Any, tolerance: int
) -> None:
    """Colour, grey and noise, within the tolerance of the table."""
    largest, mean = difference(apply(pixels, text), reference(pixels))
    print(f'{text}: at most {largest:g}, on average {mean:.4f} of 255')
    assert largest <= tolerance


@pytest.mark.parametrize(('text', 'reference'), ON_LUMA, ids=[c[0] for c in ON_LUMA])
def test_histograms_as_opencv(apply: Apply, text: str, reference: Any) -> None:
    """Grey within 1; colour within 6, since OpenCV rounds Y, Cr and Cb to 8 bits."""
    for grey in (GREY, NOISE[:, :, 0].copy()):
        largest, _ = difference(apply(grey, text), reference(grey))
        assert largest <= 1
    largest, mean = difference(apply(RGB, text), on_luma(reference, RGB))
    print(f'{text}: colour at most {largest:g}, on average {mean:.3f} of 255')
    assert largest <= 6
    assert mean < 1.0


@pytest.mark.parametrize('value', [0, 77, 255])
def test_equalize_leaves_a_picture_of_one_value(apply: Apply, value: int) -> None:
    """As OpenCV does: there is nothing to spread."""
    flat = np.full((20, 30), value, np.uint8)
    assert difference(apply(flat, 'equalize'), cv2.equalizeHist(flat))[0] == 0


CODES = {'bgr8': cv2.COLOR_RGB2BGR, 'rgba8': cv2.COLOR_RGB2RGBA, 'bgra8': cv2.COLOR_RGB2BGRA}


def as_encoding(encoding: str) -> Pixels:
    """Return the photograph in an encoding, as OpenCV makes it."""
    if encoding == 'mono8':
        return GREY
    return RGB if encoding == 'rgb8' else cv2.cvtColor(RGB, CODES[encoding])


@pytest.mark.parametrize('source', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
@pytest.mark.parametrize('target', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_convert_as_opencv(apply: Apply, source: str, target: str) -> None:
    """Every encoding into every other; grey within 1."""
    result = apply(as_encoding(source), f'convert encoding={target}', encoding=source)
    assert result.encoding == target
    expected = as_encoding(target)
    if source == 'mono8' and target != 'mono8':
        expected = np.repeat(GREY[:, :, None], ENCODINGS[target].channels, axis=2)
        expected[:, :, 3:] = 255
    assert difference(result, expected)[0] <= (1 if target == 'mono8' else 0)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_encoding_is_kept_without_convert(apply: Apply, encoding: str) -> None:
    """A chain works on what it gets and gives the same back."""
    pixels = as_encoding(encoding)
    result = apply(pixels, 'flip', encoding=encoding)
    assert result.encoding == encoding
    assert difference(result, cv2.flip(pixels, 1))[0] == 0
