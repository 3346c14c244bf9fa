# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How the numbers of an image become pixels."""

from __future__ import annotations

from enum import Enum


class PixelKind(Enum):
    """
    What the numbers of an image are, and how they lie in memory.

    Attributes
    ----------
    COLOUR
        Red, green and blue, perhaps alpha, side by side.
    GREY
        One intensity; the full range of its type is 0 to 255.
    DEPTH
        One distance along the optical axis: millimetres in 16 bits, metres in float32; 0,
        negative, infinite and NaN are invalid (REP 118, REP 117).  No picture: no colours.
    YUV422
        Y, U, Y, V in some order for each two neighbours of a row, which share U and V.
    YUV420
        A plane of Y, and below it one of half as many rows with U and V side by side, each pair
        shared by two by two pixels; both planes have the same step.
    BAYER
        One of red, green and blue per pixel, in a pattern of two by two.

    """

    COLOUR = 0
    GREY = 1
    DEPTH = 2
    YUV422 = 3
    YUV420 = 4
    BAYER = 5

    @property
    def yuv(self) -> bool:
        """Whether pixels are luma and chroma."""
        return self in (PixelKind.YUV422, PixelKind.YUV420)

    @property
    def block_wh(self) -> tuple[int, int]:
        """Columns and rows that sizes must be multiples of."""
        return {PixelKind.YUV422: (2, 1), PixelKind.YUV420: (2, 2)}.get(self, (1, 1))
