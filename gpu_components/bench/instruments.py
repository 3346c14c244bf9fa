# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Starts what is around every contender: the publisher's process and the monitor's."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

from gpu_components.bench.child_process import ChildProcess
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.surroundings import environment

TYPES = {'object_detections': 'vision_msgs/Detection2DArray'}
IMAGE = 'sensor_msgs/Image'


def start_publisher(scenario: Scenario, folder: Path) -> ChildProcess:
    """
    Start the process that plays a scenario's cameras.

    Parameters
    ----------
    scenario : Scenario
        Which cameras, and which pictures.
    folder : pathlib.Path
        For its log.

    Returns
    -------
    ChildProcess
        Answers as :mod:`gpu_components.bench.publisher` does; the caller closes it.

    """
    pictures = {
        'topics': scenario.image_topics(),
        'width': scenario.width,
        'height': scenario.height,
    }
    return _talking('publisher', scenario, folder, pictures)


def start_monitor(scenario: Scenario, folder: Path) -> ChildProcess:
    """
    Start the process that watches a scenario's outputs.

    Parameters
    ----------
    scenario : Scenario
        Which outputs.
    folder : pathlib.Path
        For its log.

    Returns
    -------
    ChildProcess
        Answers as :mod:`gpu_components.bench.monitor` does; the caller closes it.

    """
    outputs = {t: TYPES.get(t.rpartition('/')[2], IMAGE) for t in scenario.outputs()}
    memory = [f'{scenario.namespaces()[0]}/memory_status']
    watched = {'outputs': outputs, 'memory_topics': memory}
    return _talking('monitor', scenario, folder, watched)


def _talking(name: str, scenario: Scenario, folder: Path, specification: Any) -> ChildProcess:
    command = [sys.executable, '-m', f'gpu_components.bench.{name}', json.dumps(specification)]
    log = folder / f'{scenario.name}.{name}.log'
    return ChildProcess(name, command, environment('1'), log, talks=True)
