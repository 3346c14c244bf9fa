# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Steps that decoders share: fixed sizes throughout, nothing is read on the host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.detections import Detections
from gpu_runtime.detection.nms import batched_nms

if TYPE_CHECKING:
    from gpu_runtime.detection.picture_limits import PictureLimits

MAX_CANDIDATES = 1000
"""Boxes that enter suppression: more than any picture has objects, few enough for O(n * n)."""


def suppressed(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    limits: PictureLimits,
) -> Detections:
    """
    Suppress overlapping boxes class by class.

    Parameters
    ----------
    boxes : torch.Tensor
        float32 (N, 4) xyxy in pixels of the tensor.
    scores : torch.Tensor
        float32 (N,).
    class_ids : torch.Tensor
        int64 (N,).
    limits : PictureLimits
        What is kept, and where the picture lies.

    Returns
    -------
    Detections
        Boxes in pixels of the source.  Does not block.

    """
    # Suppression brings them in order.
    top = _top(boxes, scores, class_ids, limits, MAX_CANDIDATES, in_order=False)
    boxes, scores, class_ids = top
    kept = batched_nms(
        boxes,
        scores,
        class_ids,
        score_threshold=limits.confidence_threshold,
        iou_threshold=limits.iou_threshold,
        max_detections=limits.capacity,
    )
    return replace(kept, boxes=limits.boxes_to_source(kept.boxes))


def best(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    limits: PictureLimits,
) -> Detections:
    """
    Keep the boxes of highest score, for networks that do not repeat themselves.

    Parameters
    ----------
    boxes : torch.Tensor
        float32 (N, 4) xyxy in pixels of the tensor.
    scores : torch.Tensor
        float32 (N,).
    class_ids : torch.Tensor
        int64 (N,).
    limits : PictureLimits
        What is kept, and where the picture lies; the overlap threshold is not used.

    Returns
    -------
    Detections
        Boxes in pixels of the source.  Does not block.

    """
    boxes, scores, class_ids = _top(boxes, scores, class_ids, limits, limits.capacity)
    valid = scores >= limits.confidence_threshold
    found = Detections.empty(limits.capacity, boxes.device)
    rows = slice(0, scores.shape[0])
    found.boxes[rows] = torch.where(valid[:, None], limits.boxes_to_source(boxes), 0.0)
    found.scores[rows] = torch.where(valid, scores, 0.0)
    found.class_ids[rows] = torch.where(valid, class_ids, 0)
    found.count.copy_(valid.sum())
    return found


def cxcywh_to_xyxy(boxes: torch.Tensor) -> torch.Tensor:
    """
    Return corners for centres and sizes.

    Parameters
    ----------
    boxes : torch.Tensor
        (N, 4): centre x, centre y, width, height.

    Returns
    -------
    torch.Tensor
        (N, 4): left, top, right, bottom, in the same unit.  Does not block.

    """
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat((centre - half, centre + half), dim=1)


def _top(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    limits: PictureLimits,
    count: int,
    *,
    in_order: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the ``count`` best candidates of allowed classes, by falling score if asked."""
    # Filtered before the cut, so that objects asked for are not lost behind others.
    scores = torch.where(limits.allows(class_ids), scores, -torch.inf)
    scores, order = scores.topk(min(count, scores.shape[0]), sorted=in_order)
    return boxes[order], scores, class_ids[order]
