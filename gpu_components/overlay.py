# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and names drawn onto a picture where it lies, on a completion thread."""

from __future__ import annotations

from typing import TYPE_CHECKING
import zlib

import cv2

from gpu_components.text_label import extent
from gpu_components.text_label import label
from gpu_components.text_label import paste
from gpu_components.text_label import style_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpu_components.detection_messages import Named
    from gpu_runtime.image_format import ImageFormat

WHITE = (255,) * 4


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
    style = style_for(format)
    rows = data[: format.nbytes].reshape(format.height, format.step)[:, : format.row_nbytes]
    canvas = rows.reshape(format.height, format.width, format.channels)
    for box, score, name in zip(boxes.tolist(), scores.tolist(), names, strict=True):
        left, top, right, bottom = map(round, box)
        colour, text = _colour(name), f'{name} {score:.2f}'
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, style.thickness)
        width, height, base = extent(text, style)
        named = label(text, colour, style, width, height + base, base)
        paste(named, data, format, max(0, top - len(named)), left)


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
    style = style_for(format)
    texts = [f'{name} {score:.2f}' for name, score in classes]
    widths, heights, bases = zip(*(extent(text, style) for text in texts), strict=True)
    line = max(heights) + 2 * max(bases)
    for number, text in enumerate(texts):
        written = label(text, WHITE, style, max(widths), line, max(bases))
        paste(written, data, format, number * line, 0)


def _colour(name: str) -> tuple[int, int, int, int]:
    """Return a bright colour that a name always has."""
    seed = zlib.crc32(name.encode())
    red, green, blue = (80 + (seed >> shift & 0xFF) * 175 // 255 for shift in (0, 8, 16))
    return red, green, blue, 255
