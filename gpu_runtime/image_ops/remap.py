# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures read at other positions, which are computed once per size and camera."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.image_ops.picture import Picture

KEPT = 4
"""Maps kept per step, 8 bytes a pixel each: cameras may share a topic or change their size."""


def pixel_grid(picture: Picture) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return column and row of every pixel.

    Parameters
    ----------
    picture : Picture
        Gives size and device.

    Returns
    -------
    tuple of torch.Tensor
        float64 (1, W) and (H, 1), which broadcast.

    """
    device = picture.planes.device
    columns = torch.arange(picture.width, device=device, dtype=torch.float64)[None, :]
    rows = torch.arange(picture.height, device=device, dtype=torch.float64)[:, None]
    return columns, rows


class RemapStep:
    """
    Reads each pixel from a position of its own, bilinearly; what lies outside is black.

    Follows :class:`~gpu_runtime.image_ops.operation.Step`.

    Parameters
    ----------
    positions : callable
        ``positions(picture)`` returns float64 (H, W, 2) x and y in pixels of the picture, pixel
        centres at integers, and the camera of the result; called once per size and camera.

    """

    def __init__(
        self, positions: Callable[[Picture], tuple[torch.Tensor, CameraModel | None]]
    ) -> None:
        self._positions = positions
        self._maps: OrderedDict[object, tuple[torch.Tensor, CameraModel | None]] = OrderedDict()

    def __call__(self, picture: Picture) -> Picture:
        """
        Read the picture.

        Parameters
        ----------
        picture : Picture
            Of any size; does not block.

        Returns
        -------
        Picture
            Of the same size.

        """
        key = (picture.width, picture.height, picture.camera)
        if key not in self._maps:
            positions, camera = self._positions(picture)
            self._maps[key] = (_normalised(positions), camera)
            while len(self._maps) > KEPT:
                self._maps.popitem(last=False)
        grid, camera = self._maps[key]
        planes = functional.grid_sample(picture.planes[None], grid, align_corners=False)[0]
        return replace(picture, planes=planes, camera=camera)


def _normalised(positions: torch.Tensor) -> torch.Tensor:
    """Return positions as grid_sample without aligned corners has them, float32 (1, H, W, 2)."""
    height, width, _ = positions.shape
    x = (2.0 * positions[:, :, 0] + 1.0) / width - 1.0
    y = (2.0 * positions[:, :, 1] + 1.0) / height - 1.0
    return torch.stack((x, y), dim=2)[None].float()
