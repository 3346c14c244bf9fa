# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What there is to tell about the engines of a store, one row each."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gpu_runtime.engines import EngineEntry
from gpu_runtime.engines.engine_entry import CHOICE
from gpu_runtime.engines.engine_entry import PROBLEM

MIB = 1 << 20


def engine_row(entry: EngineEntry, check: bool) -> dict[str, Any]:
    """
    Return everything about an engine.

    Parameters
    ----------
    entry : EngineEntry
        Of the store.
    check : bool
        Compare the file with the hash in its index; reads it.

    Returns
    -------
    dict
        Only what JSON can hold; ``state`` is kept, intact, damaged, or failed where the entry
        says why there is no engine.

    """
    state = 'intact' if check else 'kept'
    if PROBLEM in entry.facts:
        state = 'failed'
    if check and not entry.intact():
        state = 'damaged'
    return {
        **asdict(entry.key),
        'digest': entry.key.digest,
        'nbytes': entry.nbytes,
        'used': datetime.fromtimestamp(entry.used_s).isoformat(' ', 'seconds'),
        'state': state,
        'facts': entry.facts,
    }


def engine_table(rows: list[dict[str, Any]]) -> Table:
    """
    Return the rows as people read them.

    Parameters
    ----------
    rows : list of dict
        Of :func:`engine_row`.

    Returns
    -------
    rich.table.Table
        One line per engine, more where several backends were measured.

    """
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
    chosen = row['facts'].get(CHOICE)
    lines = row['facts'].get('candidates', [])
    if chosen is not None:
        return '\n'.join([f'chosen: {chosen or "none"}', *lines])
    return '\n'.join(line for line in lines if line.startswith((row['backend'], 'eager')))
