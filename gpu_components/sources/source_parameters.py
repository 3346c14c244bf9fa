# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters that every source has."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_components.component_parameters import ComponentParameters
from gpu_components.parameters import parameter


@dataclass(frozen=True)
class SourceParameters(ComponentParameters):
    """Parameters that every source has."""

    rate_hz: float = parameter(30.0, 'Pictures per second.', unit='Hz', ge=0.01, le=10000.0)
    frame_id: str = parameter(
        'camera_optical', 'Coordinate frame of the pictures (REP 103: z forward, x right, y down).'
    )
    loop: bool = parameter(True, 'Start again after the last picture.', read_only=True)
