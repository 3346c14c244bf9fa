# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a user allows among the detections of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DetectionLimits:
    """
    Thresholds and filter, read anew for each picture.

    Parameters
    ----------
    confidence_threshold : float
        Lowest score that is reported, 0 to 1.
    iou_threshold : float
        Of two boxes of one class that overlap more than this, the better one is kept, 0 to 1.
    max_detections : int
        K, the most detections per picture, at least 1.
    class_mask : torch.Tensor, optional
        bool (C,) on the device, True for the class ids that are reported; None reports all.

    """

    confidence_threshold: float = 0.5
    iou_threshold: float = 0.45
    max_detections: int = 100
    class_mask: torch.Tensor | None = None
