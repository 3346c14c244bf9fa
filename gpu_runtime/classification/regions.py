# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of a picture as one batch of fixed size, and what was found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from gpu_runtime.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.tensor_spec import TensorSpec


def region_crops(
    picture: torch.Tensor,
    boxes: torch.Tensor,
    spec: TensorSpec,
    *,
    count: int,
    margin: float = 0.0,
) -> torch.Tensor:
    """
    Cut boxes out of a picture and bring them to the size that a network reads.

    Parameters
    ----------
    picture : torch.Tensor
        float32 (1, C, H, W), normalised as ``spec`` asks.
    boxes : torch.Tensor
        float32 (K, 4), left, top, right, bottom in pixels of the picture.
    spec : TensorSpec
        Size, order of axes and type of the result.
    count : int
        Crops to make, whatever K is: those without a box are zero.
    margin : float
        Part of its size by which a box grows on each side, as far as the picture goes.

    Returns
    -------
    torch.Tensor
        (count, C, height, width) or NHWC.  Each value averages the source pixels below it: large
        boxes do not alias.  Enqueued on the current stream; does not block.

    """
    from torchvision.ops import roi_align

    height, width = picture.shape[2:]
    boxes = functional.pad(boxes[:count], (0, 0, 0, max(0, count - boxes.shape[0])))
    grow = (boxes[:, 2:] - boxes[:, :2]) * margin
    left_top = (boxes[:, :2] - grow).clamp(min=0.0)
    right, bottom = (boxes[:, 2:] + grow).unbind(dim=1)
    sides = [left_top, right.clamp(max=width)[:, None], bottom.clamp(max=height)[:, None]]
    rois = torch.cat([boxes.new_zeros((count, 1)), *sides], dim=1)
    size = (spec.height, spec.width)
    crops: torch.Tensor = roi_align(picture, rois, size, aligned=True)
    if spec.layout is Layout.NHWC:
        crops = crops.permute(0, 2, 3, 1)
    return crops.to(spec.dtype)


def pack_regions(found: Detections, top: torch.Tensor) -> torch.Tensor:
    """
    Return boxes and their classes in one tensor, for one small copy to the host.

    Parameters
    ----------
    found : Detections
        Where the regions are.
    top : torch.Tensor
        float32 (n, k, 2), class id and score, for the first n of them.

    Returns
    -------
    torch.Tensor
        float32 (n + 1, 4 + 2 k): row 0 begins with the number of real regions; each further row is
        left, top, right, bottom, then k times class id and score.  Does not block.

    """
    rows = top.new_zeros((top.shape[0] + 1, 4 + 2 * top.shape[1]))
    boxes = found.boxes[: top.shape[0]]
    rows[0, 0].copy_(found.count.clamp(max=top.shape[0]))
    rows[1 : boxes.shape[0] + 1, :4].copy_(boxes)
    rows[1:, 4:].copy_(top.flatten(1))
    return rows


def unpack_regions(
    host_rows: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """
    Read what :func:`pack_regions` wrote, after its copy to the host is done.

    Parameters
    ----------
    host_rows : numpy.ndarray
        float32 (n + 1, 4 + 2 k).

    Returns
    -------
    tuple of numpy.ndarray
        Boxes float32 (m, 4), class ids int64 (m, k) and scores float32 (m, k) of the m real
        regions, best class first; copies.

    """
    rows = host_rows[1 : int(host_rows[0, 0]) + 1]
    return rows[:, :4].copy(), rows[:, 4::2].astype(np.int64), rows[:, 5::2].copy()
