# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Text on a ground of one colour, as small pictures that are remembered and copied."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runtime.image_format import ImageFormat

FONT = cv2.FONT_HERSHEY_SIMPLEX
BLACK = 0, 0, 0, 255

REMEMBERED = 512
"""Labels, some 10 KB each at 640x480: scores have two digits, so most of a scene come again."""


class TextStyle(NamedTuple):
    """
    How text is written on pictures of one format.

    Parameters
    ----------
    channels : int
        Of a pixel.
    scale : float
        Of the font.
    thickness : int
        Of lines, in pixels.

    """

    channels: int
    scale: float
    thickness: int


def style_for(format: ImageFormat) -> TextStyle:
    """
    Return a style that can be read on pictures of a size.

    Parameters
    ----------
    format : ImageFormat
        Of the pictures: 8-bit colour or grey.

    Returns
    -------
    TextStyle
        Text 12 pixels high at 640x480, with the lines of boxes that go with it.

    """
    scale = max(0.4, min(format.width, format.height) / 900)
    return TextStyle(format.channels, scale, max(1, round(2 * scale)))


@lru_cache(maxsize=REMEMBERED)
def extent(text: str, style: TextStyle) -> tuple[int, int, int]:
    """
    Return the size of a text, in pixels.

    Parameters
    ----------
    text : str
        One line.
    style : TextStyle
        How it is written.

    Returns
    -------
    width, height, base : int
        ``height`` is that above the base line, ``base`` that below.

    """
    (width, height), base = cv2.getTextSize(text, FONT, style.scale, style.thickness)
    return width, height, base


@lru_cache(maxsize=REMEMBERED)
def label(
    text: str, colour: tuple[int, ...], style: TextStyle, width: int, height: int, base: int
) -> NDArray[np.uint8]:
    """
    Return a picture of a text in black.

    Parameters
    ----------
    text : str
        One line.
    colour : tuple of int
        Of the ground; of four channels at least.
    style : TextStyle
        How it is written.
    width, height : int
        Of the picture, in pixels.
    base : int
        Height of the base line above the lower edge, in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, channels), read-only: shared by all who ask.

    """
    made = np.empty((height, width, style.channels), np.uint8)
    made[:] = colour[: style.channels]
    at = 0, height - base
    cv2.putText(made, text, at, FONT, style.scale, BLACK, style.thickness, cv2.LINE_AA)
    made.setflags(write=False)
    return made


def paste(
    part: NDArray[np.uint8], data: NDArray[np.uint8], format: ImageFormat, top: int, left: int
) -> None:
    """
    Copy a small picture onto another one, cut off at the edges of that.

    Parameters
    ----------
    part : numpy.ndarray
        uint8 (height, width, channels), contiguous.
    data : numpy.ndarray
        uint8 (format.nbytes,), written to.
    format : ImageFormat
        How to read it.
    top, left : int
        Where the part begins, in pixels; not above the picture.

    """
    skipped, left = max(0, -left), max(0, left)
    count = min(part.shape[0], format.height - top)
    width = min(part.shape[1] - skipped, format.width - left)
    if count <= 0 or width <= 0:
        return
    nbytes, step = width * format.channels, part.shape[1] * format.channels
    source = _rows(part, count, nbytes, skipped * format.channels, step)
    at = top * format.step + left * format.channels
    _rows(data, count, nbytes, at, format.step)[:] = source


def _rows(
    pixels: NDArray[np.uint8], count: int, nbytes: int, at: int, step: int
) -> NDArray[np.void]:
    """
    Return parts of rows, each as one item.

    NumPy gives the interpreter lock away to copy 500 items or more, for a microsecond or two; to
    get it back takes longer (decision 020).
    """
    return np.ndarray(count, f'V{nbytes}', pixels, at, step)
