# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that mix a pixel with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.median_filter import median_filtered
from gpu_runtime.image_ops.operation import Operation

if TYPE_CHECKING:
    from gpu_runtime.image_ops.picture import Picture


@dataclass(frozen=True)
class GaussianBlur(Operation):
    """
    Smooth under a Gaussian, as ``cv2.GaussianBlur`` with ``ksize=(0, 0)``.

    Against OpenCV on 8-bit pictures: at most 1 of 255 off.
    """

    name: ClassVar[str] = 'gaussian_blur'
    sigma: float = argument('Standard deviation.', default=1.0, unit='px', ge=0.1, le=50.0)

    def __call__(self, picture: Picture) -> Picture:
        """
        Smooth; borders are mirrored.

        Parameters
        ----------
        picture : Picture
            With sides above 3 sigma.

        Returns
        -------
        Picture
            Of the same size.

        """
        return picture.with_planes(blurred(picture.planes, self.sigma))


@dataclass(frozen=True)
class Sharpen(Operation):
    """
    Add to a picture what a Gaussian blur takes from it (unsharp mask).

    As ``cv2.addWeighted(picture, 1 + amount, cv2.GaussianBlur(...), -amount, 0)``.  Against
    OpenCV on 8-bit pictures: at most 1 + amount of 255 off, since it rounds the blurred one.
    """

    name: ClassVar[str] = 'sharpen'
    amount: float = argument('Share that is added.', default=1.0, ge=0.0, le=10.0)
    sigma: float = argument(
        'Standard deviation of the blur.', default=1.0, unit='px', ge=0.1, le=50.0
    )

    def __call__(self, picture: Picture) -> Picture:
        """
        Sharpen.

        Parameters
        ----------
        picture : Picture
            With sides above 3 sigma.

        Returns
        -------
        Picture
            Of the same size.

        """
        smooth = blurred(picture.planes, self.sigma)
        return picture.with_planes(torch.lerp(smooth, picture.planes, 1.0 + self.amount))


@dataclass(frozen=True)
class Median(Operation):
    """Take the median around each pixel, as ``cv2.medianBlur``; exact on 8-bit pictures."""

    name: ClassVar[str] = 'median'
    size: int = argument('Side of the square.', default=3, unit='px', choices=(3, 5))

    def __call__(self, picture: Picture) -> Picture:
        """
        Remove specks; borders are repeated.

        Parameters
        ----------
        picture : Picture
            Of any size.

        Returns
        -------
        Picture
            Of the same size.

        """
        return picture.with_planes(median_filtered(picture.planes, self.size))


def blurred(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """
    Return planes smoothed under a Gaussian.

    Parameters
    ----------
    planes : torch.Tensor
        float32 (C, H, W).
    sigma : float
        Standard deviation in pixels.

    Returns
    -------
    torch.Tensor
        float32 (C, H, W).

    Raises
    ------
    SpecMismatchError
        If the picture is too small to be mirrored at its borders.

    """
    # As OpenCV chooses it for 8 bits: https://docs.opencv.org/4.x/d4/d86/group__imgproc__filter
    # and modules/imgproc/src/smooth.dispatch.cpp, createGaussianKernels().
    radius = (round(sigma * 3 * 2 + 1) | 1) // 2
    if min(planes.shape[1:]) <= radius:
        raise SpecMismatchError(
            f'operations: a blur of sigma {sigma} px reads {radius} px around a pixel, and the '
            f'picture has {planes.shape[2]}x{planes.shape[1]} px; expected larger sides: set a '
            'smaller sigma'
        )
    offsets = torch.arange(-radius, radius + 1, device=planes.device, dtype=torch.float32)
    weights = torch.exp(offsets * offsets * (-0.5 / sigma**2))
    weights = weights / weights.sum()
    padded = functional.pad(planes[:, None], (radius,) * 4, mode='reflect')
    rows = functional.conv2d(padded, weights.view(1, 1, 1, -1))
    return functional.conv2d(rows, weights.view(1, 1, -1, 1))[:, 0]
