# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo shows to the person who started it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import SpinnerColumn
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.table import Table

LINE_S = 5.0
"""Where a bar cannot move (a file, a pipe), a line tells the progress this often."""


class Screen:
    """
    Progress and result of a run; used by one thread.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to write; default the standard output.

    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._line_s = 0.0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn('{task.description}'),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task('', total=None)

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show a moving bar for the length of a ``with`` block."""
        with self._bar:
            yield

    def phase(self, text: str) -> None:
        """
        Tell what begins, of unknown length.

        Parameters
        ----------
        text : str
            One line.

        """
        self._bar.update(self._task, description=text, total=None)
        if not self._console.is_terminal:
            self._console.print(text)

    def tick(self, text: str, done_s: float, total_s: float) -> None:
        """
        Tell how far the run is.

        Parameters
        ----------
        text : str
            One line.
        done_s : float
            Seconds since the run began.
        total_s : float
            Seconds it will take.

        """
        self._bar.update(self._task, description=text, completed=done_s, total=total_s)
        if not self._console.is_terminal and time.monotonic() - self._line_s >= LINE_S:
            self._line_s = time.monotonic()
            self._console.print(f'{done_s:4.0f} of {total_s:.0f} s: {text}')

    def result(self, summary: Mapping[str, Any]) -> None:
        """
        Print the tables.

        Parameters
        ----------
        summary : Mapping
            As ``summary.json`` holds it.

        """
        stages = Table('stage', 'in', 'processed', 'dropped', 'compute p50', title='Frames')
        for name, stage in summary['stages'].items():
            counts = (str(stage[key]) for key in ('in', 'processed', 'dropped'))
            stages.add_row(name, *counts, _ms(stage['compute_ms'], 'p50'))
        for column in stages.columns[1:]:
            column.justify = 'right'
        facts = Table('result', 'value', title='Faces in photographs', show_header=False)
        for name, value in _facts(summary):
            facts.add_row(name, value)
        self._console.print(stages, facts)

    def failed(self, problem: str) -> None:
        """
        Print why the run did not show what it is for.

        Parameters
        ----------
        problem : str
            One reason.

        """
        self._console.print(f'demo failed: {problem}', style='bold red', markup=False)


def _facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = summary['detections']
    yield 'device', f'{summary["device"]} ({summary["device_name"]})'
    yield 'pictures answered', f'{found["messages"]} in {summary["seconds"]:.1f} s'
    with_objects = f'on {found["messages_with_objects"]} pictures'
    yield 'objects found', f'{_classes(found["by_class"])} {with_objects}'
    latency = summary['latency_ms']
    yield (
        'latency, camera to result',
        ', '.join(f'{name} {_ms(latency, name)}' for name in ('p50', 'p95', 'p99')),
    )
    if change := summary['live_change']:
        yield 'live parameter change', _change(change)
    yield 'annotated pictures', str(len(summary['annotated_pictures']))
    yield 'results in', summary['folder']


def _classes(by_class: Mapping[str, int]) -> str:
    return ', '.join(f'{count} × {name}' for name, count in by_class.items()) or 'none'


def _change(change: Mapping[str, Any]) -> str:
    verdict = 'held from the next picture on' if change['obeyed'] else 'did NOT hold at once'
    return (
        f'{change["parameter"]} {change["before"]} → {change["during"]} '
        f'in {change["answer_ms"]:.0f} ms: {verdict}'
    )


def _ms(values: Mapping[str, float] | None, name: str) -> str:
    return f'{values[name]:.1f} ms' if values else '-'
