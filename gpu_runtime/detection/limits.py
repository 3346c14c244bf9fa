# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a user allows among the detections of one picture."""

from __future__ import annotations

from dataclasses import dataclass


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
        The most detections per picture, at least 1.
    classes : frozenset of int, optional
        The class ids that are reported; None reports all.

    """

    confidence_threshold: float = 0.5
    iou_threshold: float = 0.45
    max_detections: int = 100
    classes: frozenset[int] | None = None
