# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The hot path of a frame: host time under the GIL, host time outside it, and time on the device.

::

    python test/bench/hot_path.py [--size 640x480] [--rate-hz 10] [--seconds 10] [--json FILE]

Runs the benchmark's container with all five stages in this process, with publisher and monitor in
processes of their own. Figures are CPU time, by thread: what a thread spends after a library has
let go of the GIL and before it wants it back is *outside*, the rest *under*. Waiting for the GIL
is wall time, and no part of either. Device time is that between the two events around a stage.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
import json
import os
from pathlib import Path
import re
import sys
import tempfile
import threading
import time
from typing import Any

from gil_clock import GilClock
from gil_clock import ThreadTime
import rclpy
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gpu_components.bench.contenders import Setup
from gpu_components.bench.contenders import THREADS
from gpu_components.bench.contenders import write_pipeline
from gpu_components.bench.instruments import start_monitor
from gpu_components.bench.instruments import start_publisher
from gpu_components.bench.networks import write_networks
from gpu_components.bench.plan import QUICK
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.scenario import STAGES
from gpu_components.bench.surroundings import environment
from gpu_components.container import Container
from gpu_components.executor import PlaneExecutor
from gpu_components.pipeline_file import read_pipeline
from gpu_runtime.device import resolve_device

START_S = 300.0
DRAIN_S = 2.0
WARM_FRAMES = 10
NUMBERED = re.compile(r'[-_]\d+( .*)?$')
COUNTED = ('cpu_s', 'under_s', 'outside_s', 'waiting_s')


def grouped(
    before: dict[int, ThreadTime], after: dict[int, ThreadTime], frames: int
) -> dict[str, dict[str, float]]:
    """Return microseconds per frame by thread, threads of one pool together."""
    groups: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(COUNTED, 0.0))
    for tid, thread in after.items():
        spent = thread.since(before.get(tid))
        group = groups[NUMBERED.sub('', thread.name.replace('/bench/camera_0/', ''))]
        for name in COUNTED:
            group[name] += getattr(spent, name) / frames * 1e6
    return dict(groups)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the container and return the figures."""
    os.environ |= environment(str(THREADS))
    device = resolve_device(options.device)
    detector = QUICK.detector if options.tiny else options.detector
    width, height = (64, 48) if options.tiny else options.size
    scenario = Scenario('container', tuple(STAGES), width, height)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = write_networks(folder, width, height, detector=detector, classifier='resnet18')
        pipeline = write_pipeline(scenario, Setup(str(device), files, folder, None))
        publisher, monitor = start_publisher(scenario, folder), start_monitor(scenario, folder)
        stack.callback(publisher.close)
        stack.callback(monitor.close)
        container = start_container(stack, str(pipeline), str(device))
        clock = GilClock()
        _warm(publisher, monitor)
        frames = max(1, round(options.rate_hz * options.seconds))
        before, process_s = clock.read(), time.process_time()
        played = publisher.ask(START_S, do='play', rate_hz=options.rate_hz, frames=frames)
        time.sleep(DRAIN_S)
        after, process_s = clock.read(), time.process_time() - process_s
        stages = container.gpu.metrics.snapshot()
        counts = {name: stage.counts.get('processed', 0) for name, stage in stages.items()}
        return {
            'device': str(device),
            'size': [width, height],
            'frames': frames,
            'achieved_hz': played['achieved_hz'],
            'caught_entries': clock.caught,
            'processed': counts,
            'process_us': process_s / frames * 1e6,
            'threads_us': grouped(before, after, frames),
            'device_us': {
                name.rpartition('/')[2]: stage.timings['device'].p50_s * 1e6
                for name, stage in stages.items()
                if 'device' in stage.timings
            },
        }


def start_container(stack: ExitStack, pipeline: str, device: str, **parameters: Any) -> Container:
    """Run the container in this process, with a pipeline file, until the stack is closed."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    stack.callback(rclpy.shutdown)
    executor = PlaneExecutor()
    parameters |= {'device': device, 'torch_threads': THREADS}
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    container = Container(executor, parameter_overrides=overrides)
    stack.callback(executor.shutdown, timeout_sec=5.0)
    stack.callback(container.close)
    threading.Thread(target=executor.spin, name='control', daemon=True).start()
    for request in read_pipeline(pipeline):
        response = container.load(request)
        if not response.success:
            raise SystemExit(f'hot_path: {response.error_message}')
    return container


def _warm(publisher: Any, monitor: Any) -> None:
    """Play until every output answers."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        monitor.ask(START_S, do='reset')
        publisher.ask(START_S, do='play', rate_hz=5.0, frames=WARM_FRAMES)
        time.sleep(DRAIN_S)
        if min(monitor.ask(do='counts', since_ns=0).values()) >= WARM_FRAMES // 2:
            return
    raise SystemExit(f'hot_path: an output is silent after {START_S:.0f} s')


def table(report: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    width, height = report['size']
    title = f'{width}x{height}, {report["device"]}, microseconds a frame of {report["frames"]}'
    made = Table(title=title, title_justify='left', box=SIMPLE_HEAD)
    made.add_column('thread')
    for heading in ('under the GIL', 'outside', 'waiting for the GIL', 'on the device, p50'):
        made.add_column(heading, justify='right')
    threads = report['threads_us']
    for name in sorted(threads, key=lambda name: -threads[name]['cpu_s']):
        spent = threads[name]
        device = report['device_us'].get(name)
        made.add_row(
            name,
            *(f'{spent[key]:.0f}' for key in ('under_s', 'outside_s', 'waiting_s')),
            '-' if device is None else f'{device:.0f}',
        )
    python = {key: sum(spent[key] for spent in threads.values()) for key in COUNTED}
    made.add_row(
        'all Python threads', *(f'{python[k]:.0f}' for k in ('under_s', 'outside_s', 'waiting_s'))
    )
    others = report['process_us'] - python['cpu_s']
    made.add_row('threads of libraries (DDS, torch, CUDA)', '0', f'{others:.0f}', '-')
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', type=picture_size, default=(640, 480))
    parser.add_argument('--device', default='auto')
    parser.add_argument('--detector', default='fasterrcnn_resnet50_fpn')
    parser.add_argument('--rate-hz', type=float, default=10.0)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--tiny', action='store_true', help='a size and a detector for a CPU')
    parser.add_argument('--json', type=Path, help='write the figures here too')
    options = parser.parse_args(argv)
    report = measure(options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    Console(width=None if sys.stdout.isatty() else 140).print(table(report))
    return 0


def picture_size(text: str) -> tuple[int, int]:
    """Read WxH."""
    width, _, height = text.partition('x')
    return int(width), int(height)


if __name__ == '__main__':
    sys.exit(main())
