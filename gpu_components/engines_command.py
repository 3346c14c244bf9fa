# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception models --engines``: which networks are compiled, and how they do."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gpu_components.engines_table import engine_row
from gpu_components.engines_table import engine_table
from gpu_components.engines_table import MIB
from gpu_runtime.engines import default_folder
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.engine_entry import PROBLEM
from gpu_runtime.engines.private_folder import open_private
from gpu_runtime.errors import EngineError


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
    rows = [engine_row(entry, check) for entry in entries]
    if as_json:
        console.print_json(data=rows)
    elif rows:
        console.print(engine_table(rows))
        total = sum(entry.nbytes for entry in entries)
        console.print(f'{len(rows)} in {folder}, {total / MIB:.0f} MiB', soft_wrap=True)
        for row in rows:
            if PROBLEM in row['facts']:
                again = folder / row['digest']
                console.print(f'to have what failed tried again, remove {again}', soft_wrap=True)
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
