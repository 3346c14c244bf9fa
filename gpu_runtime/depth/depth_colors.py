# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Depth as a picture for people."""

from __future__ import annotations

import cv2
import numpy as np
import torch

_CODES = {
    'turbo': cv2.COLORMAP_TURBO,
    'viridis': cv2.COLORMAP_VIRIDIS,
    'inferno': cv2.COLORMAP_INFERNO,
    'magma': cv2.COLORMAP_MAGMA,
    'plasma': cv2.COLORMAP_PLASMA,
    'jet': cv2.COLORMAP_JET,
    'bone': cv2.COLORMAP_BONE,
}

COLORMAPS = tuple(_CODES)
"""Every value of the parameter ``colormap``.  Source: OpenCV's tables of these names."""

_INVALID = 256


class DepthColors:
    """
    Colours by depth: what is near has the colormap's last colour, what is invalid is black.

    Parameters
    ----------
    device : torch.device
        Where depth maps are.

    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._table: tuple[str, torch.Tensor] | None = None

    def __call__(
        self, depth: torch.Tensor, colormap: str, near_m: float = 0.0, far_m: float = 0.0
    ) -> torch.Tensor:
        """
        Colour a depth map, on the current stream.

        Parameters
        ----------
        depth : torch.Tensor
            float32 (H, W), metres, NaN invalid.
        colormap : str
            One of :data:`COLORMAPS`; its table is uploaded when it is first used.
        near_m : float
            Depth of the last colour, in metres.
        far_m : float
            Depth of the first colour, in metres; not above ``near_m`` takes both from the picture.

        Returns
        -------
        torch.Tensor
            New uint8 (H, W, 3): red, green, blue.  Does not block.

        """
        near: float | torch.Tensor = near_m
        far: float | torch.Tensor = far_m
        valid = depth.isfinite()
        if far_m <= near_m:
            near = torch.where(valid, depth, torch.inf).amin()
            far = torch.where(valid, depth, -torch.inf).amax()
        # A flat picture divides by zero and gets the last colour.
        share = ((far - depth) / (far - near)).nan_to_num(1.0, 1.0, 0.0)
        index = (share.clamp(0.0, 1.0) * (_INVALID - 1)).round().to(torch.int64)
        return self._colors(colormap)[torch.where(valid, index, _INVALID)]

    def _colors(self, colormap: str) -> torch.Tensor:
        """Return uint8 (257, 3) on the device."""
        if self._table is None or self._table[0] != colormap:
            ramp = np.arange(_INVALID, dtype=np.uint8)[:, None]
            bgr = cv2.applyColorMap(ramp, _CODES[colormap])[:, 0]
            rgb = np.concatenate((bgr[:, ::-1], np.zeros((1, 3), np.uint8)))
            self._table = colormap, torch.from_numpy(rgb).to(self._device)
        return self._table[1]
