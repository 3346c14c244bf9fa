# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture as cameras of other kinds would send it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

# Y, U and V of blue, green and red.  Source: ITU-R BT.601, Y 16 to 235, U and V 16 to 240.
YUV_OF_BGR = np.array([[0.098, 0.504, 0.257], [0.439, -0.291, -0.148], [-0.071, -0.368, 0.439]])
# Colour (of blue, green, red) of the pixels of the first row and the second.
BAYER = {
    'bayer_rggb8': ((2, 1), (1, 0)),
    'bayer_bggr8': ((0, 1), (1, 2)),
    'bayer_gbrg8': ((1, 0), (2, 1)),
    'bayer_grbg8': ((1, 2), (0, 1)),
}
ENCODINGS = ('yuv422', 'yuv422_yuy2', 'nv12', *BAYER)


def encoded(picture: Any, encoding: str) -> Any:
    """
    Return the items of a picture in one of :data:`ENCODINGS`, or in mono16.

    ``picture`` is BGR with even sides; uint8 (rows, width) or (rows, width, 2) comes back, of
    mono16 uint16.
    """
    if encoding == 'mono16':
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint16) * 257
    if encoding in BAYER:
        raw = np.empty(picture.shape[:2], np.uint8)
        for row, colours in enumerate(BAYER[encoding]):
            for column, colour in enumerate(colours):
                raw[row::2, column::2] = picture[row::2, column::2, colour]
        return raw
    yuv = picture @ YUV_OF_BGR.T + (16, 128, 128)
    pairs = (yuv[:, ::2, 1:] + yuv[:, 1::2, 1:]) / 2
    height, width = picture.shape[:2]
    if encoding == 'nv12':
        chroma = (pairs[::2] + pairs[1::2]) / 2
        return (
            np.concatenate((yuv[:, :, 0], chroma.reshape(height // 2, width))).round().astype('u1')
        )
    luma = 1 if encoding == 'yuv422' else 0
    items = np.empty((height, width, 2))
    items[:, :, luma] = yuv[:, :, 0]
    items[:, :, 1 - luma] = pairs.reshape(height, width)
    return items.round().astype(np.uint8)
