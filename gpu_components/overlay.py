# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and names drawn onto a picture, on the egress thread."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING
import zlib

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpu_runtime.image_format import ImageFormat

FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_detections(
    data: NDArray[np.uint8],
    format: ImageFormat,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    names: Sequence[str],
) -> NDArray[np.uint8]:
    """
    Return a copy of a picture with boxes and names on it.

    Parameters
    ----------
    data : numpy.ndarray
        uint8 (format.nbytes,).
    format : ImageFormat
        How to read it: 8-bit colour or grey.
    boxes : numpy.ndarray
        float32 (N, 4): left, top, right, bottom in pixels of the picture.
    scores : numpy.ndarray
        float32 (N,).
    names : sequence of str
        N class names.

    Returns
    -------
    numpy.ndarray
        uint8 (format.nbytes,) in the same encoding and step, owned by the caller.

    """
    copy = data[: format.nbytes].reshape(format.height, format.step).copy()
    pixels = copy[:, : format.row_nbytes].reshape(format.height, format.width, format.channels)
    canvas: Any = np.ascontiguousarray(pixels)
    scale = max(0.4, min(format.width, format.height) / 900)
    for box, score, name in zip(boxes, scores, names, strict=True):
        _draw(canvas, [round(float(v)) for v in box], f'{name} {score:.2f}', _colour(name), scale)
    copy[:, : format.row_nbytes] = canvas.reshape(format.height, format.row_nbytes)
    return copy.reshape(-1)


def _colour(name: str) -> tuple[int, int, int, int]:
    """Return a bright colour that a name always has."""
    seed = zlib.crc32(name.encode())
    red, green, blue = (80 + (seed >> shift & 0xFF) * 175 // 255 for shift in (0, 8, 16))
    return red, green, blue, 255


def _draw(
    canvas: Any, box: list[int], text: str, colour: tuple[int, int, int, int], scale: float
) -> None:
    left, top, right, bottom = box
    thickness = max(1, round(2 * scale))
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, thickness)
    (width, height), base = cv2.getTextSize(text, FONT, scale, thickness)
    line = max(top, height + base)
    cv2.rectangle(canvas, (left, line - height - base), (left + width, line), colour, cv2.FILLED)
    cv2.putText(
        canvas, text, (left, line - base), FONT, scale, (0, 0, 0, 255), thickness, cv2.LINE_AA
    )
