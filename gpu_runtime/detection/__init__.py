# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Detectors: how pictures are prepared for them, and how their outputs are read."""

from __future__ import annotations

from gpu_runtime.detection.decoder import Decoder
from gpu_runtime.detection.detected_frame import DetectedFrame
from gpu_runtime.detection.detections import Detections
from gpu_runtime.detection.detector import Detector
from gpu_runtime.detection.label_map import LabelMap
from gpu_runtime.detection.labels import LABEL_SETS
from gpu_runtime.detection.labels import load_labels
from gpu_runtime.detection.limits import DetectionLimits
from gpu_runtime.detection.limits_block import LimitsBlock
from gpu_runtime.detection.nms import batched_nms
from gpu_runtime.detection.picture_limits import PictureLimits
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.detection.preset_registry import preset_names
from gpu_runtime.detection.preset_registry import register_preset
from gpu_runtime.detection.preset_registry import resolve_preset

__all__ = [
    'LABEL_SETS',
    'Decoder',
    'DetectedFrame',
    'DetectionLimits',
    'DetectionPreset',
    'Detections',
    'Detector',
    'LabelMap',
    'LimitsBlock',
    'PictureLimits',
    'batched_nms',
    'load_labels',
    'preset_names',
    'register_preset',
    'resolve_preset',
]
