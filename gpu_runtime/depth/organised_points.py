# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A depth map and its picture as coloured points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.encoding import ENCODINGS

if TYPE_CHECKING:
    from gpu_runtime.image_format import ImageFormat

POINT_NBYTES = 16
"""Of one point: x, y, z and colour, four bytes each."""


def organised_points(
    depth: torch.Tensor, rays: torch.Tensor, data: torch.Tensor, format: ImageFormat, stride: int
) -> torch.Tensor:
    """
    Return one point per ray, on the current stream.

    Parameters
    ----------
    depth : torch.Tensor
        float32 (height, width), metres along the optical axis, NaN invalid.
    rays : torch.Tensor
        float32 (2, rows, columns), as :class:`~gpu_runtime.depth.CameraRays` gives them.
    data : torch.Tensor
        uint8, the picture's bytes.
    format : ImageFormat
        How to read them: 8-bit colour or grey, of the size of ``depth``.
    stride : int
        The one of ``rays``.

    Returns
    -------
    torch.Tensor
        New int32 (rows, columns, 4): the bits of float32 x (right), y (down), z (ahead) in
        metres, all NaN where invalid, and the colour as 0x00RRGGBB.  Does not block.

    """
    z = depth[::stride, ::stride]
    xyz = torch.stack((rays[0] * z, rays[1] * z, z + 0.0 * rays[0]), dim=2)
    points = torch.empty((*z.shape, 4), dtype=torch.int32, device=depth.device)
    points[:, :, :3] = xyz.view(torch.int32)
    points[:, :, 3] = _packed_colors(data, format, stride)
    return points


def _packed_colors(data: torch.Tensor, format: ImageFormat, stride: int) -> torch.Tensor:
    shape = (format.height, format.width, format.channels)
    pixels = data.as_strided(shape, (format.step, format.channels, 1))[::stride, ::stride]
    red, green, blue = (pixels[:, :, c].to(torch.int32) for c in ENCODINGS[format.encoding].order)
    return red * 0x10000 + green * 0x100 + blue
