# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors behind a plain tensor-in, tensors-out face of fixed shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD

from gpu_runtime.models.detectors.boxes import Candidates
from gpu_runtime.models.detectors.class_head import ClassHead
from gpu_runtime.models.detectors.fold_norms import fold_norms
from gpu_runtime.models.detectors.level_head import LevelHead
from gpu_runtime.models.detectors.region_head import RegionHead


class TorchvisionDetector(torch.nn.Module):
    """
    Run a torchvision detector on one prepared picture and return all its candidates.

    The weights and the arithmetic are torchvision's; what it removes (small boxes, low scores,
    overlapping proposals) stays here as entries of a score below 0, so that every shape follows
    from the picture's, nothing is read on the host, and the whole can be recorded as a graph.
    The last suppression and its thresholds are left to the caller, and may change between two
    pictures.  Masks and key points are not computed.

    Weights and pictures may be float16; boxes and scores are computed in float32.

    Parameters
    ----------
    detector : torch.nn.Module
        From ``torchvision.models.detection``, in evaluation mode.  It is taken over: its batch
        norms are folded into its convolutions.

    """

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        parts: Any = detector
        fold_norms(parts)
        self.backbone = parts.backbone
        self.head = _head(parts)
        self._anchor_generator = getattr(parts, 'rpn', parts).anchor_generator
        self._multiple = int(parts.transform.size_divisible)
        self._anchors: dict[torch.Size, torch.Tensor] = {}

    def forward(self, images: torch.Tensor) -> Candidates:
        """
        Detect.

        Parameters
        ----------
        images : torch.Tensor
            Shape (1, 3, H, W), scaled and normalised as the detector's own transform does.

        Returns
        -------
        tuple of torch.Tensor
            Boxes float32 (N, 4) xyxy in pixels of the input, scores float32 (N,), class ids
            int64 (N,) in COCO's 91-number scheme, in no order.  Does not block, except at the
            first picture of a size, when its anchors are made.

        """
        height, width = images.shape[-2:]
        # Here and not in the transform: the padding is 0 after the normalisation, and boxes
        # must be clipped to the picture without it.
        padding = (0, -width % self._multiple, 0, -height % self._multiple)
        padded = torch.nn.functional.pad(images, padding)
        features = self.backbone(padded)
        anchors = self._anchors_of(padded, list(features.values()))
        found: Candidates = self.head(features, anchors, (height, width))
        return found

    def _anchors_of(self, padded: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return float32 (A, 4), made once per size: at most 100 sizes differ after padding."""
        if padded.shape not in self._anchors:
            # float32 whatever the maps are: float16 cannot count the columns of a picture.
            places = [level.new_empty(level.shape, dtype=torch.float32) for level in maps]
            images = ImageList(padded, [tuple(padded.shape[-2:])])
            self._anchors[padded.shape] = self._anchor_generator(images, places)[0]
        return self._anchors[padded.shape]

    def _apply(
        self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
    ) -> TorchvisionDetector:
        # Called by ``to`` and ``half``: anchors belong to a device and never become float16.
        self._anchors.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _head(detector: Any) -> torch.nn.Module:
    if isinstance(detector, FasterRCNN):
        return RegionHead(detector.rpn, detector.roi_heads)
    if isinstance(detector, SSD):
        return ClassHead(detector)
    return LevelHead(detector)
