# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The run of the demo: a container with a camera and a detector, and a monitor that watches.

The calling thread starts everything, waits, and reports; container, components and monitor are
spun by a :class:`~gpu_components.executor.PlaneExecutor` on its own threads, as in a container
process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import dataclass
import json
import os
from pathlib import Path
import sys
import threading
import time
from typing import Any

import cv2
import rclpy
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from gpu_components.container import Container
from gpu_components.demo.live_change import change_live
from gpu_components.demo.live_change import wait_for
from gpu_components.demo.monitor import Monitor
from gpu_components.demo.monitor import Sighting
from gpu_components.demo.screen import Screen
from gpu_components.demo.summary import problems
from gpu_components.demo.summary import summarise
from gpu_components.executor import PlaneExecutor
from gpu_components.pipeline_file import read_pipeline
from gpu_components.resources import resolve_path
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import LifecycleError

DOMAIN_ID = '77'
CAMERA = '/demo/photo_camera'
DETECTOR = '/demo/object_detector'
PICTURES = 6
RUN_S = 20.0
START_LIMIT_S = 90.0
START_AND_RUN_S = 45.0
"""A slow start shortens the run, so that both stay below a minute."""


@dataclass(frozen=True)
class Demo:
    """
    A container at work and the monitor that watches it.

    Parameters
    ----------
    container : Container
        With the demo's pipeline loaded.
    monitor : Monitor
        Of its detector.
    screen : Screen
        Shows the progress.

    """

    container: Container
    monitor: Monitor
    screen: Screen


def run_demo(out: Path, *, seconds: float | None = None, device: str = 'auto') -> int:
    """
    Run the demo and leave its results in a folder.

    Parameters
    ----------
    out : pathlib.Path
        Made if it is not there; gets ``summary.json`` and ``annotated_N.png``.
    seconds : float, optional
        How long pictures shall flow; default 20, less after a slow start.
    device : str
        As the container's parameter.

    Returns
    -------
    int
        0; or 1, with the reason printed, if nothing was found or a stage failed.  Blocks.

    """
    screen = Screen()
    keep_to_this_machine()
    started_s = time.monotonic()
    try:
        with running(device, screen) as demo:
            _start(demo)
            if seconds is None:
                left_s = START_AND_RUN_S - (time.monotonic() - started_s)
                seconds = max(5.0, min(RUN_S, left_s))
            summary, found = _observe(demo, out, seconds)
    except GpuPerceptionError as error:
        screen.failed(str(error))
        return 1
    screen.result(summary)
    for problem in found:
        screen.failed(problem)
    return 1 if found else 0


def keep_to_this_machine() -> None:
    """Set the environment that ROS reads, before it does: nothing leaves the machine."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.setdefault('ROS_DOMAIN_ID', DOMAIN_ID)
    if os.environ.get('ROS_DISTRO') == 'humble':  # it has no discovery range yet
        os.environ['ROS_LOCALHOST_ONLY'] = '1'
    # Python wheels of ROS have their package index in the environment's own prefix.
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)


def pipeline_path() -> str:
    """Return the demo's pipeline file: of the source tree if this is one, else as installed."""
    source = Path(__file__).resolve().parents[2] / 'params' / 'demo.yaml'
    return (
        str(source)
        if source.exists()
        else resolve_path('package://gpu_perception/params/demo.yaml')
    )


@contextmanager
def running(device: str, screen: Screen) -> Iterator[Demo]:
    """
    Run a container with the demo's pipeline, and a monitor, for the length of a ``with`` block.

    Parameters
    ----------
    device : str
        As the container's parameter.
    screen : Screen
        Shows the progress.

    Yields
    ------
    Demo
        Loaded, not necessarily active yet.

    Raises
    ------
    GpuPerceptionError
        If the device or a component is refused.

    """
    rclpy.init(
        args=['--ros-args', '--log-level', 'warn'], signal_handler_options=SignalHandlerOptions.NO
    )
    executor = PlaneExecutor()
    spinner = threading.Thread(target=executor.spin, name='control', daemon=True)
    try:
        with screen.progress():
            screen.phase('starting the container')
            requests = read_pipeline(pipeline_path())
            container = Container(
                executor, parameter_overrides=[Parameter('device', value=device)]
            )
            try:
                monitor = Monitor(DETECTOR)
                executor.add_node(monitor)
                spinner.start()
                for request in requests:
                    response = container.load(request)
                    if not response.success:
                        raise LifecycleError(response.error_message)
                yield Demo(container, monitor, screen)
            finally:
                container.close()
    finally:
        executor.shutdown(timeout_sec=2.0)
        rclpy.shutdown()


def _start(demo: Demo) -> None:
    """Wait for the first object; raise what a component failed with, if one does."""
    demo.screen.phase('loading the network and waiting for the first face')

    def ready() -> bool:
        _raise_failure(demo)
        return any(sighting.names for sighting in demo.monitor.sightings())

    if not wait_for(ready, START_LIMIT_S):
        states = {n.get_fully_qualified_name(): n.state for n in _nodes(demo)}
        answered = len(demo.monitor.sightings())
        raise LifecycleError(
            f'no object within {START_LIMIT_S:.0f} s: {answered} pictures answered, {states}'
        )


def _nodes(demo: Demo) -> list[Any]:
    return list(demo.container.components().values())


def _raise_failure(demo: Demo) -> None:
    for name, stage in demo.container.gpu.metrics.snapshot().items():
        if stage.error:
            raise LifecycleError(f'{name}: {stage.error}')


def _observe(demo: Demo, out: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Watch, stop the camera, and write the results; return them and what is wrong."""
    began_s = time.monotonic()
    change = change_live(demo.monitor, before=0.5)
    pictures = _watch(demo, began_s, seconds)
    elapsed_s = time.monotonic() - began_s
    for node in _nodes(demo):
        if node.get_fully_qualified_name() == CAMERA:
            node.trigger_deactivate()
    wait_for(lambda: _settled(demo), 5.0)
    # The camera's topic has no producer in the process any more, so its ROS ingress is open now.
    names = {node.get_fully_qualified_name() for node in _nodes(demo)}
    snapshot = demo.container.gpu.metrics.snapshot()
    stages = {name: stage for name, stage in snapshot.items() if name in names}
    summary = {
        'device': str(demo.container.gpu.device),
        'device_name': demo.container.gpu.device_name,
        **summarise(demo.monitor.sightings(), stages, elapsed_s),
        'live_change': asdict(change),
        'folder': str(out),
        'annotated_pictures': _write_pictures(out, pictures),
    }
    found = problems(summary, stages)
    text = json.dumps({**summary, 'problems': found}, indent=2) + '\n'
    (out / 'summary.json').write_text(text, encoding='utf-8')
    return summary, found


def _watch(demo: Demo, began_s: float, seconds: float) -> list[tuple[Sighting, Any]]:
    """Show the progress until the time is over; return annotated pictures spread over it."""
    pictures: list[tuple[Sighting, Any]] = []
    while True:  # once at least: a slow machine needs all of the time for the change before
        done_s = time.monotonic() - began_s
        sightings = demo.monitor.sightings()
        faces = sum(len(sighting.names) for sighting in sightings)
        demo.screen.tick(f'{len(sightings)} pictures, {faces} faces', done_s, seconds)
        if len(pictures) < PICTURES and done_s >= seconds * len(pictures) / PICTURES:
            picture = demo.monitor.picture()
            if picture is not None and picture[0] not in [kept for kept, _ in pictures]:
                pictures.append(picture)
        if done_s >= seconds:
            return pictures
        time.sleep(0.1)


def _settled(demo: Demo) -> bool:
    """Whether every frame that reached the detector has left it, and its message arrived."""
    counts = demo.container.gpu.metrics.snapshot()[DETECTOR].counts
    processed = counts.get('processed', 0)
    failed = sum(n for name, n in counts.items() if name.startswith('dropped'))
    arrived = len(demo.monitor.sightings()) == processed
    overflow = counts.get('dropped_overflow', 0)
    return arrived and counts.get('received', 0) + overflow == processed + failed


def _write_pictures(out: Path, pictures: list[tuple[Sighting, Any]]) -> list[str]:
    """Write the pictures in place of those of an earlier run; return their names."""
    out.mkdir(parents=True, exist_ok=True)
    for earlier in out.glob('annotated_*.png'):
        earlier.unlink()
    names = []
    for number, (_, pixels) in enumerate(pictures, 1):
        names.append(f'annotated_{number}.png')
        cv2.imwrite(str(out / names[-1]), pixels)
    return names
