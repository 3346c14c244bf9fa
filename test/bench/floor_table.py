# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The floor of each stage: the bare captured network with its copies, our stage, the naive node.

::

    python test/bench/floor_table.py [--sizes 640x480,1920x1080] [--device cuda:0] [--json FILE]

Nothing passes through ROS: stages and callbacks are called directly, from the bytes of a picture
to the messages of its results. Each part has a process of its own, whose device memory is told.
Networks and weights are those of ``gpu_perception bench``, and outputs are compared. On a machine
without a GPU the bare networks run eagerly, not captured, and no memory is told; ``--tiny`` takes
sizes and a detector that a CPU can bear, to see that all of it works.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
import json
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from floor_timing import median_ms
from floor_timing import OVERLAPPED
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
import torch

from gpu_components.bench.networks import NetworkFiles
from gpu_components.bench.networks import write_networks
from gpu_components.bench.scenario import STAGES
from gpu_runtime.device import resolve_device
from gpu_runtime.models.precision import PRECISIONS

PARTS = ('bare', 'stage', 'naive')
ROWS = (*STAGES, 'all')
SAME_BOX = 0.9
"""Overlap above which two boxes are the same."""


def measure_part(
    part: str,
    sizes: list[list[int]],
    networks: list[dict[str, str]],
    device: str,
    repeats: int,
    precision: str,
) -> dict[str, Any]:
    """Measure one part for all sizes; runs in a process of its own."""
    import floor_bare
    import floor_parts

    where = torch.device(device)
    if where.type == 'cpu':
        torch.set_num_threads(1)  # threads that wait for each other would be all there is to see
    times, answers = [], []
    with ExitStack() as stack:
        for (width, height), entries in zip(sizes, networks, strict=True):
            files = NetworkFiles(**entries)
            if part == 'bare':
                times.append(floor_bare.bare_ms(files, (width, height), where, repeats, precision))
                continue
            if part == 'stage':
                context = floor_parts.GpuContext(device)
                stack.callback(context.close)
                calls = floor_parts.our_stages(context, stack, files, width, height, precision)
            else:
                calls = floor_parts.naive_stages(files, width, height, where)
            times.append({s: median_ms(call, repeats) for s, call in calls.items()})
            overlapped = calls.pop(OVERLAPPED, None)
            if overlapped is not None:
                times[-1][OVERLAPPED] /= floor_parts.BURST
            kept = {'keep': True} if part == 'stage' else {}
            answers.append({s: floor_parts.summary(call(**kept)) for s, call in calls.items()})
        held = floor_parts.device_mib(where)
    return {'ms': times, 'answers': answers, 'device_mib': held}


def compared(ours: dict[str, Any], naive: dict[str, Any]) -> dict[str, str]:
    """Return how far the answers of a stage and of a naive node differ, by output."""
    told = {}
    for name, array in naive.items():
        if name == 'boxes':
            told[name] = _boxes(ours['boxes'], array)
        elif name == 'class_scores':
            class_id, score = ours['best_class']
            same = 'same' if int(class_id) == int(array.argmax()) else 'different'
            told['class'] = f'{same} best class, score differs by {abs(score - array.max()):.1e}'
        elif name == 'optimized_output':
            told[name] = 'not compared: ours is annotated, theirs is the input'
        elif name == 'gpu_semantic_map':
            told[name] = f'{np.mean(ours[name] == array):.2%} of the pixels agree'
        else:
            difference = np.abs(ours[name].astype(float) - array.astype(float))
            unit = 'm' if name == 'gpu_depth_map' else 'steps of 255'
            told[name] = f'differs by at most {np.nanmax(difference):.2g} {unit}'
    return told


def _boxes(ours: np.ndarray[Any, Any], naive: np.ndarray[Any, Any]) -> str:
    if not len(ours) and not len(naive):
        return 'none on either side: nothing to compare (random weights)'
    left_top = np.maximum(ours[:, None, :2], naive[None, :, :2])
    right_bottom = np.minimum(ours[:, None, 2:4], naive[None, :, 2:4])
    shared = np.prod(np.clip(right_bottom - left_top, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1) for boxes in (ours, naive)]
    overlap = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)
    found = int((overlap.max(axis=0, initial=0.0) >= SAME_BOX).sum()) if len(ours) else 0
    return f'{found} of {len(naive)} boxes found again, {len(ours)} reported'


def table(report: dict[str, Any], number: int) -> Table:
    """Return the table of one size."""
    width, height = report['sizes'][number]
    where = report['device_name'] or 'the CPU'
    title = f'{width}x{height} on {where}, {report["precision"]}, ms, medians'
    made = Table(title=title, title_justify='left', box=SIMPLE_HEAD)
    made.add_column('stage')
    bare = 'network alone, captured' if report['captured'] else 'network alone, NOT captured'
    headings = (bare, 'with copies', 'our stage', 'naive node', 'stage / copies', 'naive / stage')
    for heading in headings:
        made.add_column(heading, justify='right')
    made.add_column('outputs')
    for stage, compared_with in (*zip(ROWS, ROWS, strict=True), (OVERLAPPED, 'all')):
        bare_ms, ours, naive = (report['ms'][part][number] for part in PARTS)
        network, floor = (bare_ms[kind].get(compared_with) for kind in ('network', 'floor'))
        ours, naive = ours[stage], naive[compared_with]
        made.add_row(
            stage,
            '-' if network is None else f'{network:.3f}',
            f'{floor:.3f}',
            f'{ours:.3f}',
            f'{naive:.3f}',
            f'{ours / floor:.2f}',
            f'{naive / ours:.2f}',
            '; '.join(report['compared'][number].get(stage, {}).values()),
        )
    return made


def _in_a_process(part: str, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    target = folder / f'{part}.pt'
    command = [sys.executable, __file__, '--part', part, json.dumps(request), str(target)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    return dict(torch.load(target, weights_only=False))  # written by the line before


def _joined(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one part as lists with an entry per size."""
    return {
        'ms': [ms for one in found for ms in one['ms']],
        'answers': [answers for one in found for answers in one['answers']],
        'device_mib': [one['device_mib'] for one in found],
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all parts and compare them."""
    device = resolve_device(options.device)
    sizes = [[96, 64]] if options.tiny else options.sizes
    repeats = min(options.repeats, 3) if options.tiny else options.repeats
    detector = 'ssdlite320_mobilenet_v3_large' if options.tiny else options.detector
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks = [
            asdict(write_networks(folder, *size, detector=detector, classifier='resnet18'))
            for size in sizes
        ]
        common = {'device': str(device), 'repeats': repeats, 'precision': options.precision}
        requests = [
            {'sizes': [size], 'networks': [files], **common}
            for size, files in zip(sizes, networks, strict=True)
        ]
        parts = {
            part: _joined([_in_a_process(part, request, folder) for request in requests])
            for part in PARTS
        }
    both = zip(parts['stage']['answers'], parts['naive']['answers'], strict=True)
    on_gpu = device.type == 'cuda'
    return {
        'device': str(device),
        'device_name': torch.cuda.get_device_name(device) if on_gpu else '',
        'captured': on_gpu,
        'not_measured': [] if on_gpu else ['captured networks', 'device memory'],
        'sizes': sizes,
        'repeats': repeats,
        'precision': options.precision,
        'ms': {part: found['ms'] for part, found in parts.items()},
        'device_mib': {part: found['device_mib'] for part, found in parts.items()},
        'compared': [
            {stage: compared(ours[stage], naive[stage]) for stage in STAGES}
            for ours, naive in both
        ],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sizes', type=_sizes, default=[[640, 480], [1920, 1080]])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--detector', default='fasterrcnn_resnet50_fpn')
    parser.add_argument('--precision', default='fp32', choices=PRECISIONS)
    parser.add_argument('--repeats', type=int, default=50)
    parser.add_argument('--tiny', action='store_true', help='a size and a detector for a CPU')
    parser.add_argument('--json', type=Path, help='write the figures here too')
    parser.add_argument('--part', nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.part:
        part, request, target = options.part
        torch.save(measure_part(part, **json.loads(request)), target)
        return 0
    report = run(options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    console = Console(width=None if sys.stdout.isatty() else 170)
    for number in range(len(report['sizes'])):
        console.print(table(report, number))
    for part, held in report['device_mib'].items():
        for (width, height), mib in zip(report['sizes'], held, strict=True):
            told = 'not told on this machine' if mib is None else f'{mib:.0f} MiB'
            console.print(f'device memory of the process, {width}x{height}, {part}: {told}')
    for missing in report['not_measured']:
        console.print(f'not measured without a GPU: {missing}')
    return 0


def _sizes(text: str) -> list[list[int]]:
    return [[int(side) for side in word.split('x')] for word in text.split(',')]


if __name__ == '__main__':
    sys.exit(main())
