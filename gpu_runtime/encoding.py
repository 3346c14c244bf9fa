# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The encodings of images that frames can hold, as data."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runtime.pixel_kind import PixelKind


@dataclass(frozen=True)
class Encoding:
    """
    How the bytes of an image are to be read.

    Parameters
    ----------
    name : str
        Name as in ``sensor_msgs/image_encodings.hpp``.
    kind : PixelKind
        What the numbers are.
    order : tuple of int
        Of ``COLOUR``, the item of a pixel that holds red, green and blue.  Of ``YUV422``, the byte
        of two pixels that holds the first Y, U and V.  Of ``YUV420``, zero, and the byte of a pair
        of chroma that holds U and V.  Of ``BAYER``, the column and the row of red in the pattern,
        and zero.  Of one number per pixel, zeros.
    channels : int
        Items per pixel of a row.
    itemsize : int
        Bytes per item.
    unit : float
        Factor on the number in memory that gives 0 to 255, or metres.

    """

    name: str
    kind: PixelKind
    order: tuple[int, int, int] = (0, 0, 0)
    channels: int = 1
    itemsize: int = 1
    unit: float = 1.0

    @property
    def drawable(self) -> bool:
        """Whether its pixels are 8-bit grey or colours side by side, as OpenCV draws on."""
        return self.itemsize == 1 and self.kind in (PixelKind.COLOUR, PixelKind.GREY)


ENCODINGS: dict[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding('rgb8', PixelKind.COLOUR, (0, 1, 2), channels=3),
        Encoding('bgr8', PixelKind.COLOUR, (2, 1, 0), channels=3),
        Encoding('rgba8', PixelKind.COLOUR, (0, 1, 2), channels=4),
        Encoding('bgra8', PixelKind.COLOUR, (2, 1, 0), channels=4),
        Encoding('mono8', PixelKind.GREY),
        Encoding('mono16', PixelKind.GREY, itemsize=2, unit=255 / 65535),
        Encoding('16UC1', PixelKind.DEPTH, itemsize=2, unit=0.001),
        Encoding('32FC1', PixelKind.DEPTH, itemsize=4),
        Encoding('yuv422', PixelKind.YUV422, (1, 0, 2), channels=2),
        Encoding('uyvy', PixelKind.YUV422, (1, 0, 2), channels=2),
        Encoding('yuv422_yuy2', PixelKind.YUV422, (0, 1, 3), channels=2),
        Encoding('yuyv', PixelKind.YUV422, (0, 1, 3), channels=2),
        Encoding('nv12', PixelKind.YUV420, (0, 0, 1)),
        Encoding('nv21', PixelKind.YUV420, (0, 1, 0)),
        Encoding('bayer_rggb8', PixelKind.BAYER, (0, 0, 0)),
        Encoding('bayer_bggr8', PixelKind.BAYER, (1, 1, 0)),
        Encoding('bayer_gbrg8', PixelKind.BAYER, (0, 1, 0)),
        Encoding('bayer_grbg8', PixelKind.BAYER, (1, 0, 0)),
    )
}
"""
Every encoding that a frame can hold.

``uyvy`` and ``yuyv`` are the later names of ``yuv422`` and ``yuv422_yuy2``.
"""
