# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The second stage of Faster R-CNN: what the proposed regions hold."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.ops import clip_boxes_to_image

from gpu_runtime.models.detectors.boxes import at_least
from gpu_runtime.models.detectors.boxes import Candidates
from gpu_runtime.models.detectors.boxes import decode_deltas
from gpu_runtime.models.detectors.region_pool import RegionPool
from gpu_runtime.models.detectors.region_proposals import RegionProposals

_SMALLEST_PX = 1e-2
"""Source: torchvision's RoIHeads.postprocess_detections."""


class RegionHead(torch.nn.Module):
    """
    Propose regions, pool them, and tell the classes of each.

    Parameters
    ----------
    rpn : torchvision.models.detection.rpn.RegionProposalNetwork
        The first stage.
    heads : torchvision.models.detection.roi_heads.RoIHeads
        The second stage; parts for masks and key points are left behind.

    """

    def __init__(self, rpn: Any, heads: Any) -> None:
        super().__init__()
        self.proposals = RegionProposals(rpn)
        self.box_head = heads.box_head
        self.predictor = heads.box_predictor
        self._pool = RegionPool(heads.box_roi_pool)
        self._coder = heads.box_coder

    def forward(
        self, features: dict[str, torch.Tensor], anchors: torch.Tensor, image_hw: tuple[int, int]
    ) -> Candidates:
        """
        Detect.

        Parameters
        ----------
        features : dict of torch.Tensor
            Maps (1, C, h, w) of the pyramid, finest first.
        anchors : torch.Tensor
            float32 (A, 4) xyxy of all maps.
        image_hw : tuple of int
            Height and width of the picture without padding.

        Returns
        -------
        tuple of torch.Tensor
            Every proposal in every class but background.  Does not block.

        """
        regions, present = self.proposals(list(features.values()), anchors, image_hw)
        pooled = self._pool(features, regions, image_hw)
        logits, deltas = self.predictor(self.box_head(pooled))
        scores = logits.float().softmax(dim=-1)
        deltas = deltas.float().unflatten(1, (-1, 4))
        boxes = decode_deltas(self._coder, deltas, regions[:, None])
        boxes = clip_boxes_to_image(boxes, image_hw)
        valid = at_least(boxes, _SMALLEST_PX) & present[:, None]
        scores = scores.masked_fill(~valid, -1.0)
        class_ids = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
        return boxes[:, 1:].flatten(0, 1), scores[:, 1:].flatten(), class_ids[:, 1:].flatten()
