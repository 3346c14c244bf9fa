# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""RetinaNet and FCOS: the best pairs of place and class on each level of the pyramid."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torchvision.models.detection import FCOS
from torchvision.ops import clip_boxes_to_image

from gpu_runtime.models.detectors.boxes import Candidates
from gpu_runtime.models.detectors.boxes import decode_deltas


class LevelHead(torch.nn.Module):
    """
    Keep a fixed number of candidates per level.

    Parameters
    ----------
    detector : torchvision.models.detection.RetinaNet or torchvision.models.detection.FCOS
        Its head and its limits.

    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.head = detector.head
        self._per_level = detector.topk_candidates
        coder = detector.box_coder
        is_fcos = isinstance(detector, FCOS)
        self._decode = coder.decode if is_fcos else partial(decode_deltas, coder)

    def forward(
        self, features: dict[str, torch.Tensor], anchors: torch.Tensor, image_hw: tuple[int, int]
    ) -> Candidates:
        """
        Detect.

        Parameters
        ----------
        features : dict of torch.Tensor
            Maps (1, C, h, w) of the pyramid.
        anchors : torch.Tensor
            float32 (A, 4) xyxy of all maps.
        image_hw : tuple of int
            Height and width of the picture without padding.

        Returns
        -------
        tuple of torch.Tensor
            The best of each level.  Does not block.

        """
        maps = list(features.values())
        outputs = {name: value[0].float() for name, value in self.head(maps).items()}
        scores = outputs['cls_logits'].sigmoid()
        if 'bbox_ctrness' in outputs:
            scores = (scores * outputs['bbox_ctrness'].sigmoid()).sqrt()
        cells = [level.shape[-2] * level.shape[-1] for level in maps]
        per_cell = anchors.shape[0] // sum(cells)
        parts = (scores, outputs['bbox_regression'], anchors)
        levels = zip(*(part.split([n * per_cell for n in cells]) for part in parts), strict=True)
        best = zip(*(self._best(*level) for level in levels), strict=True)
        boxes, scores, class_ids = (torch.cat(part) for part in best)
        return clip_boxes_to_image(boxes, image_hw), scores, class_ids

    def _best(
        self, scores: torch.Tensor, deltas: torch.Tensor, anchors: torch.Tensor
    ) -> Candidates:
        classes = scores.shape[1]
        best, chosen = scores.flatten().topk(min(self._per_level, scores.numel()))
        places = chosen // classes
        return self._decode(deltas[places], anchors[places]), best, chosen % classes
