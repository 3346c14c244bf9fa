# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that give a picture another size, extent or orientation."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
import math
from typing import ClassVar
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import MAX_SIDE_PX
from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.camera_affine import moved
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.image_ops.remap import pixel_grid
from gpu_runtime.image_ops.remap import RemapStep

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.image_ops.operation import Step
    from gpu_runtime.image_ops.picture import Picture


@dataclass(frozen=True)
class Resize(Operation):
    """
    Give a picture another size, as ``cv2.resize`` does with the same interpolation.

    Against OpenCV on 8-bit pictures: at most 1 of 255 off; nearest is exact.
    """

    name: ClassVar[str] = 'resize'
    width: int = argument(
        'Columns; 0 keeps the aspect.', default=0, unit='px', ge=0, le=MAX_SIDE_PX
    )
    height: int = argument('Rows; 0 keeps the aspect.', default=0, unit='px', ge=0, le=MAX_SIDE_PX)
    interpolation: str = argument(
        'How values between pixels are made; area averages when shrinking.',
        default='linear',
        choices=('linear', 'nearest', 'cubic', 'area'),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.width and not self.height:
            raise ParameterError('operations: resize: give width, height or both, in px')

    def __call__(self, picture: Picture) -> Picture:
        """
        Resize; pixel centres follow the half-pixel rule, as does the camera's centre.

        Parameters
        ----------
        picture : Picture
            Of any size.

        Returns
        -------
        Picture
            Of the size asked for.

        """
        width = self.width or max(1, round(picture.width * self.height / picture.height))
        height = self.height or max(1, round(picture.height * self.width / picture.width))
        if (width, height) == (picture.width, picture.height):
            return picture
        planes = resized(picture.planes, width, height, self.interpolation)
        camera = picture.camera and picture.camera.scaled(width, height)
        return replace(picture, planes=planes, camera=camera)


@dataclass(frozen=True)
class Crop(Operation):
    """Keep a part of a picture; exact."""

    name: ClassVar[str] = 'crop'
    x: int = argument('Left column.', default=0, unit='px', ge=0, le=MAX_SIDE_PX)
    y: int = argument('Upper row.', default=0, unit='px', ge=0, le=MAX_SIDE_PX)
    width: int = argument(
        'Columns; 0 for all to the right.', default=0, unit='px', ge=0, le=MAX_SIDE_PX
    )
    height: int = argument('Rows; 0 for all below.', default=0, unit='px', ge=0, le=MAX_SIDE_PX)

    def __call__(self, picture: Picture) -> Picture:
        """
        Crop; the camera's centre moves by the corner.

        Parameters
        ----------
        picture : Picture
            Large enough for the part.

        Returns
        -------
        Picture
            A view of the picture given.

        Raises
        ------
        SpecMismatchError
            If the part leaves the picture.

        """
        width = self.width or picture.width - self.x
        height = self.height or picture.height - self.y
        right, bottom = self.x + width, self.y + height
        if min(width, height) < 1 or right > picture.width or bottom > picture.height:
            raise SpecMismatchError(
                f'operations: crop x={self.x} y={self.y} width={self.width} '
                f'height={self.height} leaves the picture of {picture.width}x{picture.height} '
                'px; expected a part of it: make the part smaller, or resize first'
            )
        camera = picture.camera and picture.camera.cropped(self.x, self.y, width, height)
        planes = picture.planes[:, self.y : bottom, self.x : right]
        return replace(picture, planes=planes, camera=camera)


@dataclass(frozen=True)
class Flip(Operation):
    """Mirror a picture; exact.  The camera gets negative focal lengths on mirrored axes."""

    name: ClassVar[str] = 'flip'
    axis: str = argument(
        'horizontal swaps left and right, vertical top and bottom.',
        default='horizontal',
        choices=('horizontal', 'vertical', 'both'),
    )

    def __call__(self, picture: Picture) -> Picture:
        """
        Mirror.

        Parameters
        ----------
        picture : Picture
            Of any size.

        Returns
        -------
        Picture
            Of the same size.

        """
        across, down = self.axis != 'vertical', self.axis != 'horizontal'
        planes = picture.planes.flip([2] * across + [1] * down)
        right, bottom = picture.width - 1.0, picture.height - 1.0
        columns = (-1.0, 0.0, right) if across else (1.0, 0.0, 0.0)
        rows = (0.0, -1.0, bottom) if down else (0.0, 1.0, 0.0)
        camera = picture.camera and moved(picture.camera, (*columns, *rows))
        return replace(picture, planes=planes, camera=camera)


@dataclass(frozen=True)
class Rotate(Operation):
    """
    Turn a picture counterclockwise.

    Multiples of 90 degrees are exact and swap the sides; other angles turn around the centre at
    the same size with black corners, as ``cv2.getRotationMatrix2D`` and ``cv2.warpAffine`` do.
    Against OpenCV 5 on 8-bit photographs: at most 1 of 255 off; OpenCV 4 rounds positions to
    1/32 px, which makes up to 8 at sharp edges.
    """

    name: ClassVar[str] = 'rotate'
    angle: float = argument(
        'Angle, counterclockwise in the picture.', unit='deg', ge=-360.0, le=360.0
    )

    def step(self, context: GpuContext) -> Step:
        """
        Return the operation itself, or a step that keeps the positions to read.

        Parameters
        ----------
        context : GpuContext
            Where it will run.

        Returns
        -------
        Step
            Has nothing to close.

        """
        return self if self.angle % 90 == 0 else RemapStep(self._turned)

    def __call__(self, picture: Picture) -> Picture:
        """
        Turn by quarters.

        Parameters
        ----------
        picture : Picture
            Of any size.

        Returns
        -------
        Picture
            With swapped sides for odd multiples of 90 degrees.

        """
        quarters = round(self.angle / 90) % 4
        planes = torch.rot90(picture.planes, quarters, (1, 2))
        right, bottom = picture.width - 1.0, picture.height - 1.0
        affine = (
            (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            (0.0, 1.0, 0.0, -1.0, 0.0, right),
            (-1.0, 0.0, right, 0.0, -1.0, bottom),
            (0.0, -1.0, bottom, 1.0, 0.0, 0.0),
        )[quarters]
        size = (planes.shape[2], planes.shape[1])
        camera = picture.camera and replace(
            moved(picture.camera, affine), width=size[0], height=size[1]
        )
        return replace(picture, planes=planes, camera=camera)

    def _turned(self, picture: Picture) -> tuple[torch.Tensor, CameraModel | None]:
        """Return where to read each pixel turned about the centre, and the camera then."""
        radians = math.radians(self.angle)
        cos, sin = math.cos(radians), math.sin(radians)
        x, y = (picture.width - 1) / 2, (picture.height - 1) / 2
        columns, rows = pixel_grid(picture)
        right, down = columns - x, rows - y
        positions = torch.stack((cos * right - sin * down + x, sin * right + cos * down + y), 2)
        affine = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
        return positions, picture.camera and moved(picture.camera, affine)


def resized(
    planes: torch.Tensor, width: int, height: int, interpolation: str = 'linear'
) -> torch.Tensor:
    """
    Return planes at another size.

    Parameters
    ----------
    planes : torch.Tensor
        float32 (C, H, W).
    width : int
        New columns.
    height : int
        New rows.
    interpolation : str
        As OpenCV's flag of that name; area is linear unless both sides shrink.

    Returns
    -------
    torch.Tensor
        float32 (C, height, width).

    """
    if interpolation == 'area' and height <= planes.shape[1] and width <= planes.shape[2]:
        rows = _overlaps(planes.shape[1], height, planes.device)
        return rows @ planes @ _overlaps(planes.shape[2], width, planes.device).T
    if interpolation == 'nearest':
        rows = _nearest(planes.shape[1], height, planes.device)
        return planes[:, rows][:, :, _nearest(planes.shape[2], width, planes.device)]
    mode = 'bicubic' if interpolation == 'cubic' else 'bilinear'
    return functional.interpolate(planes[None], (height, width), mode=mode, align_corners=False)[0]


def _nearest(source: int, target: int, device: torch.device) -> torch.Tensor:
    """Return the source pixel of each target pixel of an axis; torch's own may be one off."""
    place = torch.arange(target, device=device, dtype=torch.float64) * (1.0 / (target / source))
    return place.long().clamp(max=source - 1)


def _overlaps(source: int, target: int, device: torch.device) -> torch.Tensor:
    """Return the share of each source pixel in each target pixel of an axis, (target, source)."""
    ratio = source / target
    begin = torch.arange(target, device=device, dtype=torch.float64)[:, None] * ratio
    pixel = torch.arange(source, device=device, dtype=torch.float64)
    shared = torch.minimum(pixel + 1, begin + ratio) - torch.maximum(pixel, begin)
    return (shared.clamp(min=0.0) / ratio).float()
