# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that change each value by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from typing import TYPE_CHECKING

from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.operation import Operation

if TYPE_CHECKING:
    from gpu_runtime.image_ops.picture import Picture


@dataclass(frozen=True)
class Gamma(Operation):
    """
    Raise values to a power, ``255 * (v / 255) ** value``: below 1 brightens the dark.

    Against OpenCV's ``cv2.LUT`` with this table on 8-bit pictures: at most 1 of 255 off.
    """

    name: ClassVar[str] = 'gamma'
    value: float = argument('Exponent.', ge=0.05, le=20.0)

    def __call__(self, picture: Picture) -> Picture:
        """
        Apply the power.

        Parameters
        ----------
        picture : Picture
            Values beyond 0 to 255 are clipped first.

        Returns
        -------
        Picture
            Of the same size.

        """
        unit = picture.planes.clamp(0, 255) / 255.0
        return picture.with_planes(unit.pow(self.value) * 255.0)


@dataclass(frozen=True)
class BrightnessContrast(Operation):
    """
    Scale and shift values, ``contrast * v + brightness``.

    Against OpenCV's ``cv2.addWeighted(v, contrast, v, 0, brightness)``: at most 1 of 255 off.
    """

    name: ClassVar[str] = 'brightness_contrast'
    brightness: float = argument('Added, of 255.', default=0.0, ge=-255.0, le=255.0)
    contrast: float = argument('Factor.', default=1.0, ge=0.0, le=20.0)

    def __call__(self, picture: Picture) -> Picture:
        """
        Scale and shift.

        Parameters
        ----------
        picture : Picture
            Any.

        Returns
        -------
        Picture
            Of the same size; clipped to 0 to 255.

        """
        planes = picture.planes * self.contrast + self.brightness
        return picture.with_planes(planes.clamp(0, 255))
