# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors behind a plain tensor-in, tensors-out face."""

from __future__ import annotations

from typing import Any

import torch

_CANDIDATES = 1000
"""Boxes kept per picture before the caller's own suppression; the RPN proposes as many."""

_SCORE_FLOOR = 0.02
"""Lowest score that leaves the network: below it are thousands of boxes and no objects."""


class TorchvisionDetector(torch.nn.Module):
    """
    Run a torchvision detector on one picture and return all its candidates.

    The network's own suppression is switched off and its score threshold set to 0.02, so that
    the limits of the caller alone decide, and may change between two pictures.  Masks and key
    points are not computed.

    The number of boxes depends on the picture: the network synchronises the host inside.

    Parameters
    ----------
    detector : torch.nn.Module
        From ``torchvision.models.detection``, in evaluation mode.

    """

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        self.detector = detector
        stage: Any = getattr(detector, 'roi_heads', detector)
        stage.score_thresh = _SCORE_FLOOR
        stage.nms_thresh = 1.0
        stage.detections_per_img = _CANDIDATES
        for head in ('mask_roi_pool', 'keypoint_roi_pool'):
            if hasattr(stage, head):
                setattr(stage, head, None)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Detect.

        Parameters
        ----------
        images : torch.Tensor
            Shape (1, 3, H, W), RGB, 0 to 1.

        Returns
        -------
        tuple of torch.Tensor
            Boxes (N, 4) xyxy in pixels of the input, scores (N,), class ids (N,) int64 in
            COCO's 91-number scheme.  Blocks: N is read on the host.

        """
        found = self.detector([images[0]])[0]
        return found['boxes'], found['scores'], found['labels']
