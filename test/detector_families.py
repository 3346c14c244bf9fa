# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Every family of detectors with random outputs, and limits that change from frame to frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import DetectionPreset
from gpu_runtime.detection.centerface_preset import CenterfacePreset
from gpu_runtime.detection.detr_preset import DetrPreset
from gpu_runtime.detection.torchvision_preset import TorchvisionPreset
from gpu_runtime.detection.yolox_preset import YoloxPreset
from gpu_runtime.tensor_spec import TensorSpec

CLASSES = 8
WH = (96, 64)
HERE = AffineMap(0.5, 0.5, 0.0, 4.0, (192, 112))
THERE = AffineMap(0.75, 0.8, 3.0, 0.0, (120, 80))
LIMITS = DetectionLimits(0.3, 0.5, 200)
CHANGES = [
    (LIMITS, HERE),
    (replace(LIMITS, confidence_threshold=0.6), HERE),
    (LIMITS, THERE),
    (replace(LIMITS, iou_threshold=0.05), HERE),
    (replace(LIMITS, classes=frozenset({0, 3})), HERE),
    (replace(LIMITS, max_detections=5), THERE),
    (replace(LIMITS, classes=frozenset()), HERE),
    (LIMITS, HERE),
]


def families(count: int = 1) -> Iterator[tuple[DetectionPreset, tuple[torch.Tensor, ...]]]:
    """Yield a preset and random outputs of so many pictures for each family."""
    torch.manual_seed(0)
    width, height = WH
    cells = sum((width // side) * (height // side) for side in (8, 16, 32))
    yield YoloxPreset(WH, CLASSES), (torch.rand(count, cells, 5 + CLASSES),)
    yield DetrPreset(WH, CLASSES), (torch.randn(count, 60, CLASSES), torch.rand(count, 60, 4))
    yield DetrPreset(WH, 92), (torch.randn(count, 60, 92) * 6, torch.rand(count, 60, 4))
    corners = torch.rand(count, 60, 4).sort(dim=2).values * 60
    labels = torch.randint(0, CLASSES + 4, (count, 60))
    yield DetrPreset(WH, 0), (labels, corners, torch.rand(count, 60))
    maps = (torch.rand(count, channels, height // 4, width // 4) for channels in (1, 2, 2, 10))
    yield CenterfacePreset(WH), tuple(maps)
    if count == 1:
        candidates = (corners[0], torch.rand(60), labels[0])
        yield TorchvisionPreset(TensorSpec(*WH)), candidates


class Recalls(torch.nn.Module):
    """A network that knows its outputs beforehand."""

    def __init__(self, outputs: tuple[torch.Tensor, ...]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return them."""
        return self.outputs
