# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The layout of an image as it arrives: size, encoding and row step, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.pixel_kind import PixelKind

MAX_SIDE_PX = 32768
"""Largest accepted width or height: above it a header is more likely corrupt than real."""

MAX_STEP = 2**31 - 1
"""Largest accepted bytes of a row."""

MIN_BAYER_PX = 3
"""Smallest side of a Bayer picture: a pixel inside and its neighbours."""


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
        A key of :data:`~gpu_runtime.encoding.ENCODINGS`.
    step : int
        Bytes from one row to the next, at least those of its pixels; of nv12 and nv21 those of
        both planes.

    Raises
    ------
    SpecMismatchError
        If a field is out of range, the encoding is unknown or cannot have this size: pairs of
        pixels that share chroma need even sides, debayering neighbours.

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
        self._require_whole_blocks()
        if self.step > MAX_STEP:
            raise SpecMismatchError(
                f'image step {self.step} is out of range; expected at most {MAX_STEP} bytes a '
                'row: check the publisher'
            )
        if self.step < self.row_nbytes:
            raise SpecMismatchError(
                f'image step {self.step} is too small; {self.width} px of {self.encoding} need '
                f'at least {self.row_nbytes} bytes a row: check the publisher'
            )

    def _require_whole_blocks(self) -> None:
        kind = ENCODINGS[self.encoding].kind
        columns, rows = kind.block_wh
        if self.width % columns or self.height % rows:
            expected = 'even width and height' if rows == 2 else 'an even width'
            raise SpecMismatchError(
                f'image size {self.width}x{self.height} px does not fit {self.encoding}, whose '
                f'pixels share chroma; expected {expected}: crop at the camera driver'
            )
        if kind is PixelKind.BAYER and min(self.width, self.height) < MIN_BAYER_PX:
            raise SpecMismatchError(
                f'image size {self.width}x{self.height} px is too small for {self.encoding}; '
                f'expected at least {MIN_BAYER_PX} px a side: check the publisher'
            )

    @property
    def channels(self) -> int:
        """Items per pixel of a row."""
        return ENCODINGS[self.encoding].channels

    @property
    def row_nbytes(self) -> int:
        """Bytes of one row without its padding."""
        return self.width * self.channels * ENCODINGS[self.encoding].itemsize

    @property
    def data_rows(self) -> int:
        """Rows of ``step`` bytes in memory: the height, half more with a plane of chroma."""
        planar = ENCODINGS[self.encoding].kind is PixelKind.YUV420
        return self.height * 3 // 2 if planar else self.height

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the whole image, ``step`` times :attr:`data_rows`."""
        return self.step * self.data_rows

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
            rows = '' if self.data_rows == self.height else ' and of its chroma'
            raise SpecMismatchError(
                f'image data has {nbytes} bytes; step {self.step} x height {self.height}{rows} '
                f'needs {self.nbytes}: check the publisher'
            )
