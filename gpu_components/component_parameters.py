# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters that every component has."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_components.parameters import parameter
from gpu_components.parameters import Parameters
from gpu_runtime.overflow import Overflow


@dataclass(frozen=True)
class ComponentParameters(Parameters):
    """Parameters that every component has."""

    autostart: bool = parameter(
        True, 'Configure and activate as soon as the component is loaded.', read_only=True
    )
    publish: str = parameter(
        'auto',
        'Publish outputs only while somebody subscribes (auto), always, or never.',
        choices=('auto', 'always', 'never'),
    )
    input_depth: int = parameter(
        1, 'Frames that may wait for this component.', unit='frames', ge=1, le=1000
    )
    input_overflow: str = parameter(
        'drop_oldest',
        'What a full input queue does with one more frame; block lets the producer wait.',
        choices=tuple(policy.value for policy in Overflow if policy is not Overflow.FAULT),
    )
    input_reliability: str = parameter(
        'best_effort',
        'Reliability of the ROS subscription that feeds the input.',
        choices=('best_effort', 'reliable'),
        read_only=True,
    )
    input_transport: str = parameter(
        'raw',
        'Topic that feeds the input: the picture itself, or its /compressed (JPEG, PNG).',
        choices=('raw', 'compressed'),
        read_only=True,
    )
    max_age_ms: float = parameter(
        0.0, 'Drop frames whose stamp is older than this; 0 keeps all.', unit='ms', ge=0.0, le=1e7
    )
    expected_frequency_hz: float = parameter(
        0.0,
        'Rate of results below which the diagnostics warn; 0 for no expectation.',
        unit='Hz',
        ge=0.0,
        le=10000.0,
    )
    frequency_tolerance: float = parameter(
        0.1,
        'Part of the expected frequency that may be missing without a warning.',
        ge=0.0,
        le=1.0,
    )
    capture_graph: bool = parameter(
        True,
        'Capture all work for a frame as one CUDA graph, and replay it while frames are alike; '
        'of no effect on a CPU and for components that only pass pictures on.',
    )
    stream_priority: int = parameter(
        0,
        'CUDA stream priority of this component: lower runs first.',
        ge=-5,
        le=0,
        read_only=True,
    )
