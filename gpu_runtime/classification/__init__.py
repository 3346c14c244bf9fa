# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Classifiers: how pictures and parts of pictures are read, and what the scores mean."""

from __future__ import annotations

from gpu_runtime.classification.activation import ACTIVATIONS
from gpu_runtime.classification.class_names import class_names
from gpu_runtime.classification.classifier import Classifier
from gpu_runtime.classification.network_input import AUTO_NORMALIZATIONS
from gpu_runtime.classification.network_input import network_input
from gpu_runtime.classification.regions import pack_regions
from gpu_runtime.classification.regions import region_crops
from gpu_runtime.classification.regions import unpack_regions

__all__ = [
    'ACTIVATIONS',
    'AUTO_NORMALIZATIONS',
    'Classifier',
    'class_names',
    'network_input',
    'pack_regions',
    'region_crops',
    'unpack_regions',
]
