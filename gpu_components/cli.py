# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The executable ``gpu_perception``: what a person does with the package beside launching it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
import sys
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one subcommand.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        Exit status: 0 if the subcommand did what it is for.

    """
    parser = argparse.ArgumentParser(prog='gpu_perception', description=__doc__)
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(argv)
    return int(options.run(options))


def _add_demo(commands: Any) -> None:
    text = 'find faces in photographs that come with the dependencies, and show what it took'
    parser = commands.add_parser('demo', help=text, description=text)
    parser.add_argument(
        '--out', type=Path, default=Path('out/demo'), help='folder for the results (%(default)s)'
    )
    parser.add_argument(
        '--seconds',
        type=_positive,
        help='how long to run once pictures flow; default 20, less after a slow start',
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (%(default)s)')
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    # ROS, torch and the components take seconds to import: --help need not wait for them.
    from gpu_components.demo.run import run_demo

    return run_demo(options.out, seconds=options.seconds, device=options.device)


def _add_doctor(commands: Any) -> None:
    text = 'tell what this machine has and lacks, each with the remedy'
    parser = commands.add_parser('doctor', help=text, description=text)
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from gpu_components.doctor.run import run_doctor

    return run_doctor(as_json=options.json)


def _add_models(commands: Any) -> None:
    text = 'list the models that can be named, or download their weights'
    parser = commands.add_parser('models', help=text, description=text)
    parser.add_argument(
        '--task', default='', choices=('detection', 'segmentation', 'classification', 'depth')
    )
    parser.add_argument('--cached', action='store_true', help='only those that are here')
    parser.add_argument('--check', action='store_true', help='check the hashes of those')
    parser.add_argument('--json', action='store_true', help='print a JSON list')
    parser.add_argument('--engines', action='store_true', help='compiled networks instead')
    parser.add_argument(
        '--engine-store', type=Path, help='their folder, as the parameter engine_store'
    )
    parser.set_defaults(run=_models)
    actions = parser.add_subparsers(metavar='download')
    text = 'download default weights and check their hashes'
    download = actions.add_parser('download', help=text, description=text)
    download.add_argument('model', nargs='+', help='such as torchvision/fasterrcnn_resnet50_fpn')
    download.set_defaults(run=_download)


def _models(options: argparse.Namespace) -> int:
    if options.engines:
        from gpu_components.engines_command import list_engines

        return list_engines(options.engine_store, check=options.check, as_json=options.json)
    from gpu_components.models_command import list_models

    return list_models(
        task=options.task,
        cached_only=options.cached,
        check=options.check,
        as_json=options.json,
    )


def _download(options: argparse.Namespace) -> int:
    from gpu_components.download_command import download_models

    return download_models(options.model)


def _add_bench(commands: Any) -> None:
    from gpu_components.bench.arguments import add_arguments

    text = (
        'measure this machine; pipeline: all stages under load, against the naive nodes; report: '
        'the pages of what was measured; basics: tensors, a small network, bandwidth, memory'
    )
    parser = commands.add_parser('bench', help=text, description=text)
    parser.add_argument(
        'what', nargs='?', default='pipeline', choices=('pipeline', 'report', 'basics')
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (%(default)s)')
    parser.add_argument('--json', action='store_true', help='basics: print one JSON object')
    add_arguments(parser)
    parser.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    if options.what == 'basics':
        from gpu_components.bench_command import run_basics

        return run_basics(options.device, as_json=options.json)
    from gpu_components.bench.command import run_command

    return run_command(options)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 86400 seconds')
    return value


COMMANDS: tuple[Callable[[Any], None], ...] = (_add_demo, _add_doctor, _add_models, _add_bench)


if __name__ == '__main__':
    sys.exit(main())
