# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors with shapes that do not depend on what is in the picture."""

from __future__ import annotations

from gpu_runtime.models.detectors.torchvision_detector import TorchvisionDetector

__all__ = ['TorchvisionDetector']
