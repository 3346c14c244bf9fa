# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What one run of the benchmark is: who works on which pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Contender = Literal['container', 'naive_tuned', 'naive_untuned', 'naive_one_process']
Source = Literal['ros', 'in_process']

CONTENDERS: dict[str, str] = {
    'container': 'all stages as components of one container',
    'naive_tuned': 'a process per node, OMP_NUM_THREADS=2',
    'naive_untuned': "a process per node, torch's own number of threads",
    'naive_one_process': 'all nodes in one process on the stock MultiThreadedExecutor',
}
"""Who can be measured, and what that means."""

STAGES: dict[str, tuple[str, ...]] = {
    'image_processor': ('processed_image',),
    'object_detector': ('object_detections',),
    'image_classifier': ('optimized_output',),
    'memory_manager': ('memory_managed_output',),
    'depth_segmentation': ('gpu_depth_map', 'gpu_semantic_map'),
}
"""The five stages, each with the outputs that the monitor subscribes to."""


@dataclass(frozen=True)
class Scenario:
    """
    One run.

    Parameters
    ----------
    contender : str
        Key of :data:`CONTENDERS`.
    stages : tuple of str
        Keys of :data:`STAGES`.
    width : int
        Columns of the pictures in pixels.
    height : int
        Rows of the pictures in pixels.
    cameras : int
        Cameras, each with stages of its own.
    source : str
        ``ros``: a publisher process; ``in_process``: a camera inside the container.
    set_parameters : bool
        Measure how soon a parameter change is answered under load.

    """

    contender: Contender
    stages: tuple[str, ...]
    width: int
    height: int
    cameras: int = 1
    source: Source = 'ros'
    set_parameters: bool = False

    @property
    def name(self) -> str:
        """Unique among the scenarios of a plan, and fit for a file name."""
        stages = 'all' if len(self.stages) == len(STAGES) else '+'.join(self.stages)
        parts = [stages, f'{self.width}x{self.height}', self.contender]
        if self.cameras > 1:
            parts.insert(2, f'{self.cameras}_cameras')
        if self.source != 'ros':
            parts.append(self.source)
        return '-'.join(parts)

    @property
    def group(self) -> str:
        """Scenarios of one group do the same work and are compared."""
        return self.name.partition(f'-{self.contender}')[0]

    def namespaces(self) -> list[str]:
        """Return the namespace of each camera."""
        return [f'/bench/camera_{i}' for i in range(self.cameras)]

    def image_topics(self) -> list[str]:
        """Return the topic of each camera's pictures."""
        return [f'{space}/image_raw' for space in self.namespaces()]

    def outputs(self) -> dict[str, str]:
        """Return the topics that the monitor watches, each with its camera's picture topic."""
        return {
            f'{space}/{output}': image
            for space, image in zip(self.namespaces(), self.image_topics(), strict=True)
            for stage in self.stages
            for output in STAGES[stage]
        }
