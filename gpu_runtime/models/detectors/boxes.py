# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes from what networks say about anchors: torchvision's arithmetic without its uploads."""

from __future__ import annotations

from typing import Any

import torch

Candidates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Boxes float32 (N, 4), scores float32 (N,), below 0 for what is none, class ids int64 (N,)."""


def decode_deltas(coder: Any, deltas: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """
    Move and stretch boxes as a network says.

    torchvision's coder makes a constant on the host and uploads it, which waits and cannot be
    recorded.  The operations and their order are the same, so the results are equal to the bit.

    Parameters
    ----------
    coder : torchvision.models.detection._utils.BoxCoder
        Gives the weights and the largest logarithm of a size.
    deltas : torch.Tensor
        float32 (..., 4): weighted shift of the centre in units of the size, then weighted
        logarithms of the size.
    boxes : torch.Tensor
        float32 (..., 4) xyxy, broadcast against the deltas.

    Returns
    -------
    torch.Tensor
        float32 (..., 4) xyxy.  Does not block.

    """
    weight_x, weight_y, weight_w, weight_h = coder.weights
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    x, y, log_w, log_h = deltas.unbind(-1)
    center_x = x / weight_x * width + (boxes[..., 0] + 0.5 * width)
    center_y = y / weight_y * height + (boxes[..., 1] + 0.5 * height)
    half_w = 0.5 * ((log_w / weight_w).clamp(max=coder.bbox_xform_clip).exp() * width)
    half_h = 0.5 * ((log_h / weight_h).clamp(max=coder.bbox_xform_clip).exp() * height)
    corners = (center_x - half_w, center_y - half_h, center_x + half_w, center_y + half_h)
    return torch.stack(corners, dim=-1)


def at_least(boxes: torch.Tensor, side_px: float) -> torch.Tensor:
    """
    Tell which boxes are not too small.

    Parameters
    ----------
    boxes : torch.Tensor
        float32 (..., 4) xyxy.
    side_px : float
        Smallest width and height.

    Returns
    -------
    torch.Tensor
        bool (...).  Does not block.

    """
    return (boxes[..., 2:] - boxes[..., :2] >= side_px).all(dim=-1)
