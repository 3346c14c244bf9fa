# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The first stage of Faster R-CNN: where something might be."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.ops import clip_boxes_to_image

from gpu_runtime.detection.nms import batched_nms
from gpu_runtime.models.detectors.boxes import at_least
from gpu_runtime.models.detectors.boxes import decode_deltas


class RegionProposals(torch.nn.Module):
    """
    Propose a fixed number of regions, whatever the picture.

    Parameters
    ----------
    rpn : torchvision.models.detection.rpn.RegionProposalNetwork
        Its head and its limits; in evaluation mode.

    """

    def __init__(self, rpn: Any) -> None:
        super().__init__()
        self.head = rpn.head
        self._coder = rpn.box_coder
        self._per_level = rpn.pre_nms_top_n()
        self._count = rpn.post_nms_top_n()
        self._score_threshold = rpn.score_thresh
        self._iou_threshold = rpn.nms_thresh
        self._smallest_px = rpn.min_size

    def forward(
        self, maps: list[torch.Tensor], anchors: torch.Tensor, image_hw: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Propose.

        Parameters
        ----------
        maps : list of torch.Tensor
            Maps (1, C, h, w) of the pyramid.
        anchors : torch.Tensor
            float32 (A, 4) xyxy of all maps.
        image_hw : tuple of int
            Height and width of the picture without padding.

        Returns
        -------
        tuple of torch.Tensor
            Boxes float32 (K, 4) xyxy by falling score, and bool (K,), False for those at the
            end that are none.  Does not block.

        """
        logits, deltas = self.head(maps)
        places = anchors.split([level.numel() for level in logits])
        best = [self._best(*level) for level in zip(logits, deltas, places, strict=True)]
        boxes = clip_boxes_to_image(torch.cat([boxes for boxes, _ in best]), image_hw)
        scores = torch.cat([scores for _, scores in best])
        levels = [
            torch.full_like(scores, level, dtype=torch.int64)
            for level, (_, scores) in enumerate(best)
        ]
        kept = batched_nms(
            boxes,
            scores.masked_fill(~at_least(boxes, self._smallest_px), -torch.inf),
            torch.cat(levels),
            score_threshold=self._score_threshold,
            iou_threshold=self._iou_threshold,
            max_detections=self._count,
        )
        return kept.boxes, torch.arange(self._count, device=boxes.device) < kept.count

    def _best(
        self, logits: torch.Tensor, deltas: torch.Tensor, anchors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes and scores of the best anchors of a level."""
        # From (1, A, h, w) and (1, 4 A, h, w) to the order of the anchors: row, column, anchor.
        flat = logits[0].permute(1, 2, 0).flatten().float()
        score, chosen = flat.topk(min(self._per_level, flat.shape[0]))
        moves = deltas[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
        boxes = decode_deltas(self._coder, moves[chosen].float(), anchors[chosen])
        return boxes, score.sigmoid()
