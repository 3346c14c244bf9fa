# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What ``gpu_perception bench`` can be told; imports nothing that takes time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of the benchmark of the pipeline.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the command.

    """
    add = parser.add_argument
    add('--out', type=Path, default=Path('out/bench'), help='folder of the report (%(default)s)')
    add('--quick', action='store_true', help='toy sizes and rates: about a minute without a GPU')
    add('--list', action='store_true', help='name the scenarios and measure nothing')
    add('--only', type=_words, metavar='PATTERN,...', help="scenarios by name: 'all-640x480-*'")
    add('--contenders', type=_words, metavar='NAME,...', help='default: container and all rivals')
    add('--rivals', default='', metavar='FILE', help="naive_nodes.py; default the source tree's")
    add('--sizes', type=_sizes, metavar='WxH,...', help='640x480,1280x720,1920x1080')
    add('--cameras', type=_numbers, metavar='N,...', help='numbers of cameras: 1,2,4,8')
    add('--rival-cameras', type=int, metavar='N', help='most cameras that rivals get (1)')
    add('--seconds', type=float, help='length of a probe (5)')
    add('--repeats', type=int, help='probes at the peak (5)')
    add('--min-rate-hz', type=float, metavar='HZ', help='lowest rate that is tried (0.5)')
    add('--max-rate-hz', type=float, metavar='HZ', help='highest rate that is tried (600)')
    add('--common-rate-hz', type=float, metavar='HZ', help='rate for comparing latencies (5)')
    add('--loss', type=float, help='part of the pictures that may be missing (0.01)')
    add('--resolution', type=float, help='relative width at which the search ends (0.05)')
    add('--detector', help="torchvision's name (fasterrcnn_resnet50_fpn)")
    add('--classifier', help="torchvision's name (resnet18)")
    add(
        '--precision',
        choices=('auto', 'fp32', 'tf32', 'fp16', 'bf16'),
        help="of the container's networks (auto)",
    )


def plan_options(options: argparse.Namespace) -> dict[str, Any]:
    """
    Return what was given of a plan.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed.

    Returns
    -------
    dict
        Fields of the plan by name, without those that keep their default.

    """
    names = (
        'only', 'contenders', 'sizes', 'cameras', 'rival_cameras', 'seconds', 'repeats',
        'min_rate_hz', 'max_rate_hz', 'common_rate_hz', 'loss', 'resolution', 'detector',
        'classifier', 'precision',
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(',') if word)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, _words(text)))


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    sizes = []
    for word in _words(text):
        width, _, height = word.partition('x')
        sizes.append((int(width), int(height)))
    return tuple(sizes)
