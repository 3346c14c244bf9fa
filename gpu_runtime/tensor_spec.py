# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a network wants to read: the key under which a frame remembers a prepared tensor."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.layout import Layout


@dataclass(frozen=True)
class TensorSpec:
    """
    Shape, type and value range of a prepared image tensor.

    A value is computed as ``(pixel * scale - mean[c]) / std[c]``, padding included.  A pixel is 0
    to 255 whatever the picture's encoding, or metres with ``channels='depth'``.  Instances are
    hashable: equal specs share one tensor per frame.

    Parameters
    ----------
    width : int
        Columns of the tensor; 0 keeps the picture's own width.
    height : int
        Rows of the tensor; 0 keeps the picture's own height.
    fit : Fit
        Stretch or letterbox.
    channels : str
        ``'rgb'``, ``'bgr'`` or ``'mono'`` (BT.601 luma 0.299 R + 0.587 G + 0.114 B, as OpenCV) of
        a picture; ``'depth'`` of a depth map (16UC1, 32FC1): one channel, 0 where invalid.
    layout : Layout
        NCHW or NHWC.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float16``.
    scale : float
        Factor applied to the pixel first, e.g. ``1 / 255``; 1 keeps metres.
    mean : tuple of float
        Subtracted per output channel, after scaling.
    std : tuple of float
        Divided by per output channel.
    pad : float
        Pixel value of the padding, in every channel.
    multiple : int
        With a size of 0: sides are padded (never scaled) up to a multiple of this.
    antialias : bool
        Average over the source pixels that fall on a tensor pixel when shrinking (triangle filter
        of torch's and PIL's antialiased bilinear); False samples two by two as OpenCV's
        ``INTER_LINEAR``.  Enlarging is the same in both.
    short_side : int
        With a size of 0: the picture is scaled, aspect kept and sides rounded down, until its
        shorter side has this many pixels; 0 does not scale.
    long_side : int
        It is scaled less where its longer side would have more pixels than this.

    Raises
    ------
    SpecMismatchError
        If a field is out of range.

    """

    width: int
    height: int
    fit: Fit = Fit.STRETCH
    channels: str = 'rgb'
    layout: Layout = Layout.NCHW
    dtype: torch.dtype = torch.float32
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    pad: float = 114.0
    multiple: int = 1
    antialias: bool = True
    short_side: int = 0
    long_side: int = 0

    def __post_init__(self) -> None:
        count = self.channel_count
        if len(self.mean) != count or len(self.std) != count:
            raise SpecMismatchError(
                f'tensor spec has {len(self.mean)} means and {len(self.std)} deviations; '
                f'channels={self.channels!r} needs {count} of each'
            )
        if 0.0 in self.std:
            raise SpecMismatchError('tensor spec has a standard deviation of 0; expected > 0')
        if self.width < 0 or self.height < 0 or self.multiple < 1:
            raise SpecMismatchError(
                f'tensor spec {self.width}x{self.height}, multiple {self.multiple}: expected '
                'sizes >= 0 and a multiple >= 1'
            )
        follows = (self.width, self.height) == (0, 0) and self.long_side >= self.short_side > 0
        if (self.short_side, self.long_side) != (0, 0) and not follows:
            raise SpecMismatchError(
                f'tensor spec {self.width}x{self.height}, short side {self.short_side}, long side '
                f'{self.long_side}: expected a size of 0x0 and 1 <= short_side <= long_side'
            )
        if self.dtype not in (torch.float32, torch.float16):
            raise SpecMismatchError(
                f'tensor spec dtype {self.dtype}: expected torch.float32 or torch.float16'
            )

    @property
    def channel_count(self) -> int:
        """Number of output channels."""
        counts = {'rgb': 3, 'bgr': 3, 'mono': 1, 'depth': 1}
        if self.channels not in counts:
            raise SpecMismatchError(
                f'tensor spec channels {self.channels!r}: expected rgb, bgr, mono or depth'
            )
        return counts[self.channels]

    def scaled_wh(self, width: int, height: int) -> tuple[int, int]:
        """
        Return the size that a picture is brought to, before ``multiple`` pads it.

        Parameters
        ----------
        width : int
            Columns of the picture.
        height : int
            Rows of the picture.

        Returns
        -------
        tuple of int
            Columns and rows.

        """
        if not self.short_side:
            return self.width or width, self.height or height
        # Source: torchvision's GeneralizedRCNNTransform; in this order to round as it does.
        factor = min(self.short_side / min(width, height), self.long_side / max(width, height))
        return max(1, math.floor(width * factor)), max(1, math.floor(height * factor))

    def shape(self, width: int, height: int) -> tuple[int, int, int, int]:
        """
        Return the shape of the tensor made from a picture.

        Parameters
        ----------
        width : int
            Columns of the picture.
        height : int
            Rows of the picture.

        Returns
        -------
        tuple of int
            Four sizes in the order of :attr:`layout`, batch 1.

        """
        columns, rows = self.scaled_wh(width, height)
        columns += -columns % self.multiple
        rows += -rows % self.multiple
        if self.layout is Layout.NCHW:
            return (1, self.channel_count, rows, columns)
        return (1, rows, columns, self.channel_count)
