# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What outputs cost that nobody takes.

::

    python test/bench/unused_outputs.py [--size 640x480] [--rate-hz 100] [--rounds 10]

One container has the benchmark's components twice, each time with a camera inside the process:
once as they are, once with nothing declared but the outputs that are watched. The cameras take
turns, each first in every other round, so that what else the machine does meets both alike. CPU is
that of the whole process.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
import os
from pathlib import Path
import statistics
import sys
import tempfile
import time
from typing import Any

from hot_path import picture_size
from hot_path import start_container
from rich.console import Console
from rich.table import Table
import yaml

from gpu_components.bench.contenders import Setup
from gpu_components.bench.contenders import SOURCE_NODE
from gpu_components.bench.contenders import THREADS
from gpu_components.bench.contenders import write_pipeline
from gpu_components.bench.instruments import Monitors
from gpu_components.bench.instruments import start_monitor
from gpu_components.bench.networks import write_networks
from gpu_components.bench.plan import QUICK
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.scenario import STAGES
from gpu_components.bench.session import ACTIVATE
from gpu_components.bench.session import CONFIGURE
from gpu_components.bench.session import DEACTIVATE
from gpu_components.bench.session import WARM_FRAMES
from gpu_components.bench.session import WARM_HZ
from gpu_components.bench.surroundings import environment
from gpu_components.component import Component
from gpu_components.container import Container
from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.image_processor import ImageProcessor
from gpu_components.object_detector import ObjectDetector
from gpu_components.output import Output
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_runtime.device import resolve_device

START_S = 300.0
DRAIN_S = 0.5
OFFERED, BARE = '/bench/camera_0', '/bench/camera_1'


def _watched(kind: type[Component[Any, Any]]) -> tuple[Output, ...]:
    watched = {output for outputs in STAGES.values() for output in outputs}
    return tuple(output for output in kind.outputs if output.latched or output.topic in watched)


class BareImageProcessor(ImageProcessor):
    """Without camera_info of the processed picture."""

    outputs = _watched(ImageProcessor)


class BareObjectDetector(ObjectDetector):
    """Without the overlay."""

    outputs = _watched(ObjectDetector)


class BareImageClassifier(ImageClassifier):
    """Without classes, of pictures and of detections."""

    outputs = _watched(ImageClassifier)


class BareDepthEstimator(DepthEstimator):
    """Without colours and points."""

    outputs = _watched(DepthEstimator)


class BareSemanticSegmenter(SemanticSegmenter):
    """Without colours."""

    outputs = _watched(SemanticSegmenter)


def _strip(pipeline: Path) -> None:
    """Rewrite the second camera's plugins to those that declare no more than is watched."""
    content = yaml.safe_load(pipeline.read_text(encoding='utf-8'))
    for component in content['components']:
        bare = 'Bare' + component['plugin'].rpartition('::')[2]
        if component['namespace'] == BARE and bare in globals():
            component['plugin'] = f'{Path(__file__).stem}:{bare}'
    pipeline.write_text(yaml.safe_dump(content, sort_keys=False), encoding='utf-8')


class Cameras:
    """
    The two cameras inside the container, of which one plays.

    Parameters
    ----------
    container : Container
        Has them.
    monitor : Monitors
        Watches the outputs, and changes the cameras' states.

    """

    def __init__(self, container: Container, monitor: Monitors) -> None:
        self._container = container
        self._monitor = monitor

    def change(self, space: str, transition: int) -> None:
        """Ask for a lifecycle transition until it is granted."""
        deadline_s = time.monotonic() + START_S
        node = f'{space}/{SOURCE_NODE}'
        while not self._monitor.ask(do='change_state', node=node, transition=transition):
            if time.monotonic() > deadline_s:
                raise SystemExit(f'unused_outputs: {node} refused transition {transition}')
            time.sleep(0.2)

    def play(self, space: str, rate_hz: float, seconds: float) -> float:
        """Return CPU milliseconds of the process per picture while one camera plays."""
        node, value = f'{space}/{SOURCE_NODE}', {'values': [rate_hz], 'period_s': 0.0}
        self._monitor.ask(do='set_remote_parameter', node=node, name='rate_hz', **value)
        before, began_s = self._processed(space), time.process_time()
        self.change(space, ACTIVATE)
        time.sleep(seconds)
        self.change(space, DEACTIVATE)
        time.sleep(DRAIN_S)
        frames = self._processed(space) - before
        return (time.process_time() - began_s) / max(1, frames) * 1e3

    def _processed(self, space: str) -> int:
        stages = self._container.gpu.metrics.snapshot()
        detector = stages.get(f'{space}/object_detector')
        return detector.counts.get('processed', 0) if detector else 0

    def warm(self, space: str) -> None:
        """Play slowly until every output has answered some pictures."""
        self.change(space, CONFIGURE)
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            self._monitor.ask(do='reset')
            self.play(space, WARM_HZ, (WARM_FRAMES + 2) / WARM_HZ)
            counts = self._monitor.ask(do='counts', since_ns=0)
            if min(n for topic, n in counts.items() if topic.startswith(space)) >= WARM_FRAMES:
                return
        raise SystemExit(f'unused_outputs: an output of {space} is silent')

    def device_us(self, space: str) -> float:
        """Return the sum of the components' median times on the device; 0 on a CPU."""
        stages = self._container.gpu.metrics.snapshot()
        own = (stage for name, stage in stages.items() if name.startswith(f'{space}/'))
        timings = (stage.timings.get('device') for stage in own)
        return sum(timing.p50_s for timing in timings if timing) * 1e6


def measure(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return CPU milliseconds per picture of each round, and device time, by camera."""
    os.environ |= environment(str(THREADS))
    device = str(resolve_device(options.device))
    width, height = (64, 48) if options.tiny else options.size
    detector = QUICK.detector if options.tiny else 'fasterrcnn_resnet50_fpn'
    scenario = Scenario('container', tuple(STAGES), width, height, cameras=2, source='in_process')
    found = {space: {'cpu_ms': [], 'device_us': []} for space in (OFFERED, BARE)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = write_networks(folder, width, height, detector=detector, classifier='resnet18')
        pipeline = write_pipeline(scenario, Setup(device, files, folder, None))
        _strip(pipeline)
        monitor = start_monitor(scenario, folder)
        stack.callback(monitor.close)
        container = start_container(stack, str(pipeline), device, allow_module_plugins=True)
        cameras = Cameras(container, monitor)
        for space in found:
            cameras.warm(space)
        for number in range(options.rounds):
            for space in (OFFERED, BARE) if number % 2 else (BARE, OFFERED):
                figures = found[space]
                figures['cpu_ms'].append(cameras.play(space, options.rate_hz, options.seconds))
                figures['device_us'].append(cameras.device_us(space))
    return found


def _told(values: Sequence[float]) -> str:
    return f'{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})'


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', type=picture_size, default=(640, 480))
    parser.add_argument('--device', default='auto')
    parser.add_argument('--rate-hz', type=float, default=100.0)
    parser.add_argument('--seconds', type=float, default=2.0)
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--tiny', action='store_true', help='a size and a detector for a CPU')
    table = Table(title='per picture, median of the rounds, least and most')
    for heading in ('outputs', 'CPU, ms', 'on the device, us'):
        table.add_column(heading)
    found = measure(parser.parse_args(argv))
    for space, label in ((OFFERED, 'all declared'), (BARE, 'only those watched')):
        table.add_row(label, *map(_told, found[space].values()))
    pairs = (zip(*(found[s][key] for s in (OFFERED, BARE)), strict=True) for key in found[BARE])
    table.add_row('difference, round by round', *(_told([a - b for a, b in p]) for p in pairs))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
