# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and names drawn onto a picture where it lies, on a completion thread."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from typing import TYPE_CHECKING
import zlib

import cv2

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpu_components.detection_messages import Named
    from gpu_runtime.image_format import ImageFormat

FONT = cv2.FONT_HERSHEY_SIMPLEX

_REMEMBERED = 4096
"""Texts: scores have two digits, so that most of a scene come again."""


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
    canvas, scale, thickness = _canvas(data, format)
    for box, score, name in zip(boxes.tolist(), scores.tolist(), names, strict=True):
        left, top, right, bottom = map(round, box)
        colour, text = _colour(name), f'{name} {score:.2f}'
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, thickness)
        width, height, base = _extent(text, scale, thickness)
        line = max(top, height + base)
        corners = (left, line - height - base), (left + width, line)
        cv2.rectangle(canvas, *corners, colour, cv2.FILLED)
        _write(canvas, text, (left, line - base), scale, thickness)


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
    canvas, scale, thickness = _canvas(data, format)
    texts = [f'{name} {score:.2f}' for name, score in classes]
    widths, heights, bases = zip(*(_extent(t, scale, thickness) for t in texts), strict=True)
    line = max(heights) + 2 * max(bases)
    cv2.rectangle(canvas, (0, 0), (max(widths), line * len(texts)), (255,) * 4, cv2.FILLED)
    for number, text in enumerate(texts, 1):
        _write(canvas, text, (0, number * line - max(bases)), scale, thickness)


def _canvas(data: NDArray[np.uint8], format: ImageFormat) -> tuple[Any, float, int]:
    """Return the pixels (height, width, channels) in place, scale and thickness of the text."""
    rows = data[: format.nbytes].reshape(format.height, format.step)[:, : format.row_nbytes]
    scale = max(0.4, min(format.width, format.height) / 900)
    shape = (format.height, format.width, format.channels)
    return rows.reshape(shape), scale, max(1, round(2 * scale))


def _colour(name: str) -> tuple[int, int, int, int]:
    """Return a bright colour that a name always has."""
    seed = zlib.crc32(name.encode())
    red, green, blue = (80 + (seed >> shift & 0xFF) * 175 // 255 for shift in (0, 8, 16))
    return red, green, blue, 255


@lru_cache(maxsize=_REMEMBERED)
def _extent(text: str, scale: float, thickness: int) -> tuple[int, int, int]:
    """Return width, height above the base line, and depth below it, in pixels."""
    (width, height), base = cv2.getTextSize(text, FONT, scale, thickness)
    return width, height, base


def _write(canvas: Any, text: str, at: tuple[int, int], scale: float, thickness: int) -> None:
    cv2.putText(canvas, text, at, FONT, scale, (0, 0, 0, 255), thickness, cv2.LINE_AA)
