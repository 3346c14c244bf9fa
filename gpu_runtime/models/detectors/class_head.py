# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""SSD: the best places for each class."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.ops import clip_boxes_to_image

from gpu_runtime.models.detectors.boxes import Candidates
from gpu_runtime.models.detectors.boxes import decode_deltas


class ClassHead(torch.nn.Module):
    """
    Keep a fixed number of candidates per class.

    Parameters
    ----------
    detector : torchvision.models.detection.SSD
        Its head and its limits.

    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.head = detector.head
        self._coder = detector.box_coder
        self._per_class = detector.topk_candidates

    def forward(
        self, features: dict[str, torch.Tensor], anchors: torch.Tensor, image_hw: tuple[int, int]
    ) -> Candidates:
        """
        Detect.

        Parameters
        ----------
        features : dict of torch.Tensor
            Maps (1, C, h, w), finest first.
        anchors : torch.Tensor
            float32 (A, 4) xyxy of all maps.
        image_hw : tuple of int
            Height and width of the picture without padding.

        Returns
        -------
        tuple of torch.Tensor
            The best of each class but background.  Does not block.

        """
        outputs = self.head(list(features.values()))
        boxes = decode_deltas(self._coder, outputs['bbox_regression'][0].float(), anchors)
        boxes = clip_boxes_to_image(boxes, image_hw)
        by_class = outputs['cls_logits'][0].float().softmax(dim=-1).T[1:]
        scores, chosen = by_class.topk(min(self._per_class, by_class.shape[1]), dim=1)
        class_ids = torch.arange(1, len(scores) + 1, device=scores.device)[:, None]
        return boxes[chosen].flatten(0, 1), scores.flatten(), class_ids.expand_as(scores).flatten()
