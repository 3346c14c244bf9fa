# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Starts what is around every contender: the publisher's process and those of the monitor."""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path
import sys
from typing import Any

from gpu_components.bench.child_process import ChildProcess
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.surroundings import environment

TYPES = {'object_detections': 'vision_msgs/Detection2DArray'}
IMAGE = 'sensor_msgs/Image'
ANSWER_S = 120.0


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


class Monitors:
    """
    The processes that watch the outputs, asked as one; the caller closes it.

    One for each kind of output: a single one was busy at 80 Hz of six outputs, before the
    container was.

    Parameters
    ----------
    processes : sequence of ChildProcess
        Each answers as :mod:`gpu_components.bench.monitor` does.

    """

    EVERYBODY = ('reset', 'counts', 'arrivals')
    """What all are asked; the rest is for the first one."""

    def __init__(self, processes: Sequence[ChildProcess]) -> None:
        self.processes = tuple(processes)
        self.send = self.processes[0].send
        self.receive = self.processes[0].receive

    def ask(self, timeout_s: float = ANSWER_S, **request: Any) -> Any:
        """
        Send a request and wait for its answers.

        Parameters
        ----------
        timeout_s : float
            Longest wait for each.
        **request
            What JSON can hold; ``do`` names it.

        Returns
        -------
        object
            What the first process answers, or the union of what all answer by topic.

        """
        if request['do'] not in self.EVERYBODY:
            return self.processes[0].ask(timeout_s, **request)
        for process in self.processes:
            process.send(**request)
        answers = [process.receive(timeout_s) for process in self.processes]
        if isinstance(answers[0], dict):
            return {topic: value for answer in answers for topic, value in answer.items()}
        return answers[0]

    def close(self) -> None:
        """End all; blocks until they have ended."""
        for process in self.processes:
            process.close()


def start_monitor(scenario: Scenario, folder: Path) -> Monitors:
    """
    Start the processes that watch a scenario's outputs.

    Parameters
    ----------
    scenario : Scenario
        Which outputs.
    folder : pathlib.Path
        For their logs.

    Returns
    -------
    Monitors
        The caller closes it.

    """
    groups: dict[str, dict[str, str]] = {}
    for topic in scenario.outputs():
        output = topic.rpartition('/')[2]
        groups.setdefault(output, {})[topic] = TYPES.get(output, IMAGE)
    memory = [f'{scenario.namespaces()[0]}/memory_status']
    return Monitors(
        [
            _talking(
                'monitor',
                scenario,
                folder,
                {'outputs': topics, 'memory_topics': memory if not number else []},
                label=f'monitor {output}',
            )
            for number, (output, topics) in enumerate(groups.items())
        ]
    )


def _talking(
    name: str, scenario: Scenario, folder: Path, specification: Any, label: str = ''
) -> ChildProcess:
    command = [sys.executable, '-m', f'gpu_components.bench.{name}', json.dumps(specification)]
    log = folder / f'{scenario.name}.{name}.log'
    return ChildProcess(label or name, command, environment('1'), log, talks=True)
