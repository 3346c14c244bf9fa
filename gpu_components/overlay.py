# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and names drawn onto a picture where it lies, on a completion thread."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from typing import TYPE_CHECKING
import zlib

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpu_components.detection_messages import Named
    from gpu_runtime.image_format import ImageFormat

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, BLACK = (255,) * 4, (0, 0, 0, 255)

_REMEMBERED = 512
"""Labels, some 10 KB each at 640x480: scores have two digits, so most of a scene come again."""


class _Style(NamedTuple):
    """How text is written on pictures of one format."""

    channels: int
    scale: float
    thickness: int


def draw_detections(
    data: NDArray[np.uint8],
    format: ImageFormat,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    names: Sequence[str],
) -> None:
    """
    Draw boxes and names.

    Parameters
    ----------
    data : numpy.ndarray
        uint8 (format.nbytes,), drawn on.
    format : ImageFormat
        How to read it: 8-bit colour or grey.
    boxes : numpy.ndarray
        float32 (N, 4): left, top, right, bottom in pixels of the picture.
    scores : numpy.ndarray
        float32 (N,).
    names : sequence of str
        N class names.

    """
    style = _style(format)
    rows = data[: format.nbytes].reshape(format.height, format.step)[:, : format.row_nbytes]
    canvas = rows.reshape(format.height, format.width, format.channels)
    for box, score, name in zip(boxes.tolist(), scores.tolist(), names, strict=True):
        left, top, right, bottom = map(round, box)
        colour, text = _colour(name), f'{name} {score:.2f}'
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, style.thickness)
        width, height, base = _extent(text, style)
        label = _label(text, colour, style, width, height + base, base)
        _paste(label, data, format, max(0, top - len(label)), left)


def draw_lines(data: NDArray[np.uint8], format: ImageFormat, classes: Named) -> None:
    """
    Write classes and scores into the upper left corner, black on white.

    Parameters
    ----------
    data : numpy.ndarray
        uint8 (format.nbytes,), drawn on.
    format : ImageFormat
        How to read it: 8-bit colour or grey.
    classes : list of tuple
        Class and score, one line each.

    """
    if not classes:
        return
    style = _style(format)
    texts = [f'{name} {score:.2f}' for name, score in classes]
    widths, heights, bases = zip(*(_extent(text, style) for text in texts), strict=True)
    line = max(heights) + 2 * max(bases)
    for number, text in enumerate(texts):
        label = _label(text, WHITE, style, max(widths), line, max(bases))
        _paste(label, data, format, number * line, 0)


def _style(format: ImageFormat) -> _Style:
    scale = max(0.4, min(format.width, format.height) / 900)
    return _Style(format.channels, scale, max(1, round(2 * scale)))


def _colour(name: str) -> tuple[int, int, int, int]:
    """Return a bright colour that a name always has."""
    seed = zlib.crc32(name.encode())
    red, green, blue = (80 + (seed >> shift & 0xFF) * 175 // 255 for shift in (0, 8, 16))
    return red, green, blue, 255


@lru_cache(maxsize=_REMEMBERED)
def _extent(text: str, style: _Style) -> tuple[int, int, int]:
    """Return width, height above the base line, and depth below it, in pixels."""
    (width, height), base = cv2.getTextSize(text, FONT, style.scale, style.thickness)
    return width, height, base


@lru_cache(maxsize=_REMEMBERED)
def _label(
    text: str, colour: tuple[int, ...], style: _Style, width: int, height: int, base: int
) -> NDArray[np.uint8]:
    """Return a text, black on a colour, (height, width, channels); its base line is so high."""
    made = np.empty((height, width, style.channels), np.uint8)
    made[:] = colour[: style.channels]
    at = 0, height - base
    cv2.putText(made, text, at, FONT, style.scale, BLACK, style.thickness, cv2.LINE_AA)
    return made


def _paste(
    label: NDArray[np.uint8], data: NDArray[np.uint8], format: ImageFormat, top: int, left: int
) -> None:
    """Copy a label onto a picture, cut off at its edges."""
    skipped, left = max(0, -left), max(0, left)
    count = min(label.shape[0], format.height - top)
    width = min(label.shape[1] - skipped, format.width - left)
    if count <= 0 or width <= 0:
        return
    at, nbytes = top * format.step + left * format.channels, width * format.channels
    own_at, own_step = skipped * format.channels, label.shape[1] * format.channels
    own = _rows(label, count, nbytes, own_at, own_step)
    _rows(data, count, nbytes, at, format.step)[:] = own


def _rows(
    pixels: NDArray[np.uint8], count: int, nbytes: int, at: int, step: int
) -> NDArray[np.void]:
    """
    Return parts of rows, each as one item.

    NumPy gives the interpreter lock away to copy 500 items or more, for a microsecond or two; to
    get it back takes longer (decision 020).
    """
    return np.ndarray(count, f'V{nbytes}', pixels, at, step)
