# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The subcommand ``bench`` for the pipeline: makes a plan of the options and runs it."""

from __future__ import annotations

import argparse
from dataclasses import replace
import sys

from rich.console import Console

from gpu_components.bench.arguments import plan_options
from gpu_components.bench.plan import Plan
from gpu_components.bench.plan import QUICK
from gpu_components.bench.run import report
from gpu_components.bench.run import run_bench
from gpu_runtime.errors import GpuPerceptionError

WIDTH = 140
"""Columns of the tables where there is no terminal to fit."""


def run_command(options: argparse.Namespace) -> int:
    """
    Measure, list, or report anew.

    Parameters
    ----------
    options : argparse.Namespace
        As ``gpu_perception bench`` parsed them.

    Returns
    -------
    int
        0; 1 if a scenario failed; 2 if the options were refused.  Blocks, for minutes.

    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    plan = replace(QUICK if options.quick else Plan(), **plan_options(options))
    if options.what == 'report':
        report(options.out, console)
        return 0
    if options.list:
        try:
            print(*(scenario.name for scenario in plan.scenarios()), sep='\n')
        except GpuPerceptionError as error:
            print(f'bench: {error}', file=sys.stderr)
            return 2
        return 0
    return run_bench(
        plan, options.out, device=options.device, rivals=options.rivals, console=console
    )
