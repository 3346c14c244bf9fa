# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception bench``: measurements of this machine as a table or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
import torch

from gpu_runtime.bench_basics import Figure
from gpu_runtime.bench_basics import gpu_memory
from gpu_runtime.bench_basics import GpuMemory
from gpu_runtime.bench_basics import measure
from gpu_runtime.bench_basics import REPEATS
from gpu_runtime.bench_basics import WARM_UP
from gpu_runtime.device import resolve_device
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.machine import cards

MIB = 1 << 20


def run_basics(
    device: str = 'auto',
    *,
    as_json: bool = False,
    repeats: int = REPEATS,
    console: Console | None = None,
) -> int:
    """
    Measure and print.

    Parameters
    ----------
    device : str
        As the container's parameter.
    as_json : bool
        Print one JSON object instead of tables.
    repeats : int
        Timings per figure.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0; 2 if the device is not there.

    """
    console = console or Console()
    try:
        chosen = resolve_device(device)
    except GpuPerceptionError as error:
        print(f'bench: {error}', file=sys.stderr)
        return 2
    with console.status('measuring'):
        figures = list(measure(chosen, repeats=repeats))
    memory = gpu_memory(chosen)
    name = cards()[chosen.index or 0].name if chosen.type == 'cuda' else ''
    if as_json:
        report = {
            'device': str(chosen),
            'device_name': name,
            'torch': torch.__version__,
            'cpu_threads': torch.get_num_threads(),
            'warm_up': WARM_UP,
            'repeats': repeats,
            'figures': [{**asdict(f), 'gb_per_s': f.gb_per_s} for f in figures],
            'gpu_memory': asdict(memory) if memory else None,
        }
        console.print_json(data=report)
    else:
        _print(console, figures, memory, name)
    return 0


def _print(
    console: Console, figures: Sequence[Figure], memory: GpuMemory | None, name: str
) -> None:
    machine = f'{torch.get_num_threads()} CPU thread(s), {name or "no GPU"}'
    console.print(f'torch {torch.__version__}, {machine}; medians, {WARM_UP} to warm up')
    for group in dict.fromkeys(figure.group for figure in figures):
        console.print(_table(group, [figure for figure in figures if figure.group == group]))
    if memory is None:
        console.print('GPU memory: no GPU, so the figures are those of the CPU alone')
    else:
        sizes = (f'{key} {value / MIB:.0f} MiB' for key, value in asdict(memory).items())
        console.print(f'GPU memory: {", ".join(sizes)}')


def _table(group: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=group, title_justify='left', box=SIMPLE_HEAD)
    table.add_column('what')
    by_name: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        by_name.setdefault(figure.name, {})[figure.device] = figure
    bandwidth = any(figure.nbytes for figure in figures)
    for heading in ('ms', 'GB/s') if bandwidth else ('CPU ms', 'GPU ms', 'CPU / GPU'):
        table.add_column(heading, justify='right')
    for name, row in by_name.items():
        moved = [(_ms(figure), f'{figure.gb_per_s:.1f}') for figure in row.values()]
        table.add_row(name, *(moved[0] if bandwidth else _compared(row)))
    return table


def _compared(row: dict[str, Figure]) -> tuple[str, str, str]:
    cpu, gpu = row.get('cpu'), row.get('gpu')
    ratio = f'{cpu.median_s / gpu.median_s:.1f}' if cpu and gpu and gpu.median_s else '-'
    return _ms(cpu), _ms(gpu), ratio


def _ms(figure: Figure | None) -> str:
    return f'{figure.median_s * 1e3:.3f}' if figure else '-'
