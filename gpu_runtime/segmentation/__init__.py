# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation: a class for each pixel of a picture, and its colour."""

from __future__ import annotations

from gpu_runtime.segmentation.class_map import class_map
from gpu_runtime.segmentation.palette import colored
from gpu_runtime.segmentation.palette import load_palette
from gpu_runtime.segmentation.palette import MAX_CLASSES
from gpu_runtime.segmentation.palette import pascal_palette
from gpu_runtime.segmentation.segmenter import Segmenter

__all__ = [
    'MAX_CLASSES',
    'Segmenter',
    'class_map',
    'colored',
    'load_palette',
    'pascal_palette',
]
