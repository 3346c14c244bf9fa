# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The first stage of Faster R-CNN: where something might be."""

from __future__ import annotations

import itertools
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
        best, places = self._best(logits)
        # From (1, 4 A, h, w) to the order of the anchors: row, column, anchor.
        moves = [level[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1) for level in deltas]
        chosen = torch.cat([level.reshape(-1, 4) for level in moves])[places]
        boxes = decode_deltas(self._coder, chosen.float(), anchors[places])
        boxes = clip_boxes_to_image(boxes, image_hw)
        fit = at_least(boxes, self._smallest_px)
        levels = torch.arange(len(maps), device=boxes.device)[:, None].expand_as(best)
        kept = batched_nms(
            boxes.flatten(0, 1),
            # Where probabilities are 1, by level and then by logit, the order in which they are.
            best.sigmoid().masked_fill(~fit, -torch.inf).flatten(),
            levels.flatten(),
            score_threshold=self._score_threshold,
            iou_threshold=self._iou_threshold,
            max_detections=self._count,
        )
        return kept.boxes, torch.arange(self._count, device=boxes.device) < kept.count

    def _best(self, logits: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return the logits, float32, and the anchors' numbers of the best of each level.

        In one search for all levels, which are filled up to the length of the longest; so are
        their results, (levels, K), with -inf and the number of any anchor.
        """
        lengths = [level.numel() for level in logits]
        rows = logits[0].new_full((len(logits), max(lengths)), -torch.inf)
        for row, level, length in zip(rows, logits, lengths, strict=True):
            # From (1, A, h, w) to the order of the anchors.
            row[:length].view(*level.shape[2:], -1).copy_(level[0].permute(1, 2, 0))
        best, places = rows.topk(min(self._per_level, max(lengths)))
        for row, first in zip(places[1:], itertools.accumulate(lengths[:-1]), strict=True):
            row.add_(first)
        return best.float(), places.clamp_(max=sum(lengths) - 1)
