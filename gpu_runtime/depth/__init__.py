# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Depth networks: how pictures are prepared for them, and what their outputs become."""

from __future__ import annotations

from gpu_runtime.depth.camera_rays import CameraRays
from gpu_runtime.depth.depth_colors import COLORMAPS
from gpu_runtime.depth.depth_colors import DepthColors
from gpu_runtime.depth.depth_conversion import DEPTH_KINDS
from gpu_runtime.depth.depth_conversion import DepthConversion
from gpu_runtime.depth.depth_conversion import millimetres
from gpu_runtime.depth.depth_input import depth_input
from gpu_runtime.depth.depth_network import DepthNetwork
from gpu_runtime.depth.depth_traits import depth_traits
from gpu_runtime.depth.depth_traits import DepthTraits
from gpu_runtime.depth.organised_points import organised_points
from gpu_runtime.depth.organised_points import POINT_NBYTES

__all__ = [
    'COLORMAPS',
    'DEPTH_KINDS',
    'POINT_NBYTES',
    'CameraRays',
    'DepthColors',
    'DepthConversion',
    'DepthNetwork',
    'DepthTraits',
    'depth_input',
    'depth_traits',
    'millimetres',
    'organised_points',
]
