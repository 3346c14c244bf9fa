# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The layout of an image as it arrives: size, encoding and row step, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runtime.errors import SpecMismatchError

MAX_SIDE_PX = 32768
"""Largest accepted width or height: above it a header is more likely corrupt than real."""


@dataclass(frozen=True)
class Encoding:
    """
    How the bytes of one pixel are to be read.

    Parameters
    ----------
    name : str
        Name as in ``sensor_msgs/image_encodings.hpp``.
    channels : int
        Interleaved channels per pixel.
    rgb : tuple of int
        Channel that holds red, green and blue; three equal numbers for grey.
    itemsize : int
        Bytes per channel; only one-byte encodings can be prepared for a network.

    """

    name: str
    channels: int
    rgb: tuple[int, int, int]
    itemsize: int = 1


ENCODINGS: dict[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding('rgb8', 3, (0, 1, 2)),
        Encoding('bgr8', 3, (2, 1, 0)),
        Encoding('rgba8', 4, (0, 1, 2)),
        Encoding('bgra8', 4, (2, 1, 0)),
        Encoding('mono8', 1, (0, 0, 0)),
        Encoding('mono16', 1, (0, 0, 0), itemsize=2),
        Encoding('16UC1', 1, (0, 0, 0), itemsize=2),
        Encoding('32FC1', 1, (0, 0, 0), itemsize=4),
    )
}
"""Every encoding that a frame can hold."""

PREPARED = tuple(name for name, encoding in ENCODINGS.items() if encoding.itemsize == 1)
"""The encodings that :class:`~gpu_runtime.transforms.ImageTransform` prepares."""


@dataclass(frozen=True)
class ImageFormat:
    """
    Size, encoding and row step of an image in memory.

    Parameters
    ----------
    width : int
        Pixels per row.
    height : int
        Rows.
    encoding : str
        A key of :data:`ENCODINGS`.
    step : int
        Bytes from one row to the next, at least those of its pixels.

    Raises
    ------
    SpecMismatchError
        If a field is out of range or the encoding is unknown.

    """

    width: int
    height: int
    encoding: str
    step: int

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise SpecMismatchError(
                f'image encoding {self.encoding!r} is not supported; expected one of '
                f'{", ".join(ENCODINGS)}: convert at the camera driver'
            )
        if not (0 < self.width <= MAX_SIDE_PX and 0 < self.height <= MAX_SIDE_PX):
            raise SpecMismatchError(
                f'image size {self.width}x{self.height} px is out of range; expected '
                f'1 to {MAX_SIDE_PX} px a side: check the publisher'
            )
        if self.step < self.row_nbytes:
            raise SpecMismatchError(
                f'image step {self.step} is too small; {self.width} px of {self.encoding} need '
                f'at least {self.row_nbytes} bytes a row: check the publisher'
            )

    @property
    def channels(self) -> int:
        """Channels per pixel."""
        return ENCODINGS[self.encoding].channels

    @property
    def row_nbytes(self) -> int:
        """Bytes of one row without its padding."""
        return self.width * self.channels * ENCODINGS[self.encoding].itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the whole image: ``step * height``, as sensor_msgs/Image defines ``data``."""
        return self.step * self.height

    def require_nbytes(self, nbytes: int) -> None:
        """
        Refuse a buffer too short for this format.

        Parameters
        ----------
        nbytes : int
            Length of the buffer at hand.

        Raises
        ------
        SpecMismatchError
            If fewer than :attr:`nbytes` are there.

        """
        if nbytes < self.nbytes:
            raise SpecMismatchError(
                f'image data has {nbytes} bytes; step {self.step} x height {self.height} needs '
                f'{self.nbytes}: check the publisher'
            )
