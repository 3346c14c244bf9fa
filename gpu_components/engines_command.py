# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception models --engines``: which networks are compiled, and how they do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gpu_runtime.engines import default_folder
from gpu_runtime.engines import EngineEntry
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.private_folder import open_private
from gpu_runtime.errors import EngineError

MIB = 1 << 20


def list_engines(
    folder: Path | None = None,
    *,
    check: bool = False,
    as_json: bool = False,
    console: Console | None = None,
) -> int:
    """
    Print the engines of a store, used last first.

    Parameters
    ----------
    folder : Path, optional
        Of the store; default that of the container.
    check : bool
        Compare the files with the hashes in their index; reads them all.
    as_json : bool
        Print a JSON list instead of a table.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0; 1 if an engine is damaged or the store would not be used.

    """
    console = console or Console()
    folder = folder or default_folder()
    problem = _problem(folder)
    entries = [] if problem else EngineStore(folder, 0).entries()
    rows = [_row(entry, check) for entry in entries]
    if as_json:
        console.print_json(data=rows)
    elif rows:
        console.print(_table(rows))
        total = sum(entry.nbytes for entry in entries)
        console.print(f'{len(rows)} in {folder}, {total / MIB:.0f} MiB', soft_wrap=True)
    if problem:
        Console(stderr=True).print(problem, soft_wrap=True)
    elif not rows and not as_json:
        console.print(f'no engines in {folder}', soft_wrap=True)
    return int(bool(problem) or any(row['state'] == 'damaged' for row in rows))


def _problem(folder: Path) -> str:
    """Return why the store would not be used; an absent one is no problem."""
    if not folder.exists():
        return ''
    try:
        open_private(folder)
    except EngineError as error:
        return str(error)
    return ''


def _row(entry: EngineEntry, check: bool) -> dict[str, Any]:
    state = 'kept'
    if check:
        state = 'intact' if entry.intact() else 'damaged'
    return {
        **asdict(entry.key),
        'digest': entry.key.digest,
        'nbytes': entry.nbytes,
        'used': datetime.fromtimestamp(entry.used_s).isoformat(' ', 'seconds'),
        'state': state,
        'facts': entry.facts,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ('model', 'backend', 'inputs', 'MiB', 'used', 'state', 'measured'):
        table.add_column(name, justify='right' if name == 'MiB' else 'left', overflow='fold')
    for row in rows:
        table.add_row(
            row['model'].rpartition('/')[2],
            f'{row["backend"]} {row["precision"]}',
            row['inputs'],
            f'{row["nbytes"] / MIB:.1f}',
            row['used'],
            row['state'],
            _measured(row),
        )
    return table


def _measured(row: dict[str, Any]) -> str:
    """Return what was found out about an engine, or which won where one was chosen."""
    chosen = row['facts'].get('chosen')
    lines = row['facts'].get('candidates', [])
    if chosen is not None:
        return '\n'.join([f'chosen: {chosen or "none"}', *lines])
    return '\n'.join(line for line in lines if line.startswith((row['backend'], 'eager')))
