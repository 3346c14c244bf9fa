# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The processes of each contender: a container with its pipeline, or the naive nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import dataclass
import json
from pathlib import Path
import sys
from typing import Any

import cv2
import yaml

from gpu_components.bench.child_process import ChildProcess
from gpu_components.bench.networks import NetworkFiles
from gpu_components.bench.picture import picture
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.surroundings import environment

THREADS = 2
"""CPU threads of torch in the container, and in each tuned naive node."""

QUEUE = 10
"""Frames that may wait, for the naive nodes' subscriptions and the container's inputs alike."""

NODES = {
    'processed_image': 'image_processor',
    'object_detections': 'object_detector',
    'optimized_output': 'image_classifier',
    'memory_managed_output': 'memory_manager',
    'gpu_depth_map': 'depth_estimator',
    'gpu_semantic_map': 'semantic_segmenter',
}
"""The container's component for each output."""

SOURCE_NODE = 'camera'


@dataclass(frozen=True)
class Setup:
    """
    What contenders are started with.

    Parameters
    ----------
    device : str
        As the container's parameter.
    networks : NetworkFiles
        Of the scenario's picture size.
    folder : pathlib.Path
        For pipelines, pictures and logs.
    rivals : pathlib.Path or None
        The script of the naive nodes.
    precision : str
        Of the container's networks; ``auto`` is fp16 on a GPU.

    """

    device: str
    networks: NetworkFiles
    folder: Path
    rivals: Path | None
    precision: str = 'auto'

    @property
    def arithmetic(self) -> str:
        """The precision that is used."""
        half = self.device.startswith('cuda')
        return ('fp16' if half else 'fp32') if self.precision == 'auto' else self.precision


def start(scenario: Scenario, setup: Setup) -> Iterator[ChildProcess]:
    """
    Start a contender.

    Parameters
    ----------
    scenario : Scenario
        Who and on which pictures.
    setup : Setup
        With what.

    Yields
    ------
    ChildProcess
        Each as soon as it runs, not ready yet; the caller closes it.

    """
    if scenario.contender == 'container':
        yield _start_container(scenario, setup)
        return
    threads = '' if scenario.contender == 'naive_untuned' else str(THREADS)
    for space in scenario.namespaces():
        together = scenario.contender == 'naive_one_process'
        groups = [scenario.stages] if together else [(stage,) for stage in scenario.stages]
        for stages in groups:
            name = 'naive nodes' if together else stages[0]
            if scenario.cameras > 1:
                name = f'{name} {space.rpartition("_")[2]}'
            specification = {
                'stages': stages,
                'namespace': space,
                'device': setup.device,
                'networks': asdict(setup.networks),
                'executor': 'multi' if together else 'single',
            }
            command = [sys.executable, str(setup.rivals), json.dumps(specification)]
            log = setup.folder / f'{scenario.name}.log'
            yield ChildProcess(name, command, environment(threads), log)


def _start_container(scenario: Scenario, setup: Setup) -> ChildProcess:
    pipeline = write_pipeline(scenario, setup)
    command = [sys.executable, '-m', 'gpu_components.gpu_container', '--load', str(pipeline)]
    command += ['--ros-args', '-p', f'device:={setup.device}', '-p', f'torch_threads:={THREADS}']
    log = setup.folder / f'{scenario.name}.log'
    return ChildProcess('container', command, environment(), log)


def write_pipeline(scenario: Scenario, setup: Setup) -> Path:
    """
    Write the pipeline file of a scenario's container.

    Parameters
    ----------
    scenario : Scenario
        Which stages, for how many cameras.
    setup : Setup
        Networks, and where the file goes.

    Returns
    -------
    pathlib.Path
        Of the file, for ``gpu_container --load``.

    """
    pipeline = setup.folder / f'{scenario.name}.yaml'
    components = [c for space in scenario.namespaces() for c in _camera(scenario, setup, space)]
    pipeline.write_text(yaml.safe_dump({'components': components}, sort_keys=False))
    return pipeline


def _camera(scenario: Scenario, setup: Setup, space: str) -> list[dict[str, Any]]:
    """Return the components of one camera."""
    networks = setup.networks
    size = {'input_width': scenario.width, 'input_height': scenario.height}
    half = {'precision': setup.arithmetic}
    operation = f'model source={networks.processor} precision={setup.arithmetic}'
    stages: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
        'image_processor': [('ImageProcessor', 'image_processor', {'operations': [operation]})],
        'object_detector': [
            (
                'ObjectDetector',
                'object_detector',
                {
                    'model': f'torchvision/{networks.detector}',
                    'weights': networks.detector_weights,
                    **half,
                },
            )
        ],
        'image_classifier': [
            (
                'ImageClassifier',
                'image_classifier',
                {
                    'model': f'torchvision/{networks.classifier}',
                    'weights': networks.classifier_weights,
                    **half,
                },
            )
        ],
        'memory_manager': [('MemoryManager', 'memory_manager', {})],
        'depth_segmentation': [
            (
                'DepthEstimator',
                'depth_estimator',
                {'model': networks.depth, 'normalization': 'unit', **size, **half},
            ),
            (
                'SemanticSegmenter',
                'semantic_segmenter',
                {
                    'model': networks.segmenter,
                    'normalization': 'unit',
                    'labels': 'voc21',
                    **size,
                    **half,
                },
            ),
        ],
    }
    components = [_component(space, *entry) for s in scenario.stages for entry in stages[s]]
    if 'memory_manager' not in scenario.stages:
        # It tells what is held, and gets no pictures.
        watching = _component(space, 'MemoryManager', 'memory_manager', {})
        watching['remappings'] = {'input_image': 'no_pictures'}
        components.append(watching)
    if scenario.source == 'in_process':
        components.append(_source(scenario, setup, space))
    return components


def _component(space: str, plugin: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    common = {'input_reliability': 'reliable', 'input_depth': QUEUE}
    return {
        'plugin': f'gpu_perception::{plugin}',
        'name': name,
        'namespace': space,
        'remappings': {'input_image': 'image_raw'},
        'parameters': {**common, **parameters},
    }


def _source(scenario: Scenario, setup: Setup, space: str) -> dict[str, Any]:
    """Return the camera inside the container, which begins when it is told to."""
    photo = setup.folder / f'{scenario.width}x{scenario.height}.png'
    if not photo.exists():
        cv2.imwrite(str(photo), picture(scenario.width, scenario.height)[:, :, ::-1])
    return {
        'plugin': 'gpu_perception::PhotoCamera',
        'name': SOURCE_NODE,
        'namespace': space,
        'parameters': {
            'photos': [str(photo)],
            'width': scenario.width,
            'height': scenario.height,
            'autostart': False,
        },
    }
