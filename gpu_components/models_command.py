# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception models``: what is known, and what is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gpu_components.model_catalogue import known_models
from gpu_components.model_catalogue import KnownModel

MIB = 1 << 20


def list_models(
    *,
    task: str = '',
    cached_only: bool = False,
    check: bool = False,
    as_json: bool = False,
    console: Console | None = None,
) -> int:
    """
    Print the models that can be named.

    Parameters
    ----------
    task : str
        Only those of this task; empty for all.
    cached_only : bool
        Only those whose weights are here.
    check : bool
        Compare the files that are here with the hashes in their names; reads them all.
    as_json : bool
        Print a JSON list instead of a table.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0; 1 if a file is damaged.

    """
    console = console or Console()
    chosen = [
        (model, _state(model, check))
        for model in known_models()
        if task in ('', model.task) and (model.cached or not cached_only)
    ]
    if as_json:
        rows = [{**asdict(m), 'path': str(m.path), 'state': state} for m, state in chosen]
        console.print_json(data=rows)
    else:
        _print_table(console, chosen)
    return int(any(state == 'damaged' for _, state in chosen))


def _state(model: KnownModel, check: bool) -> str:
    if not model.url:
        return 'packaged'
    if not model.cached:
        return 'missing'
    if not check:
        return 'cached'
    return 'intact' if model.intact() else 'damaged'


def _print_table(console: Console, chosen: Sequence[tuple[KnownModel, str]]) -> None:
    groups: dict[tuple[str, str, str], Table] = {}
    for model, state in chosen:
        key = (model.task, model.source, model.trained_on)
        if key not in groups:
            groups[key] = _table(*key)
        groups[key].add_row(model.model, f'{model.nbytes / MIB:.0f}', state, model.licence)
    for table in groups.values():
        console.print(table)
    console.print(
        'Licences are those of the publishers; the data sets that weights were trained on may '
        'add terms of their own.'
    )


def _table(task: str, source: str, trained_on: str) -> Table:
    title = f'{task}: from {source}, trained on {trained_on or "data that is not named"}'
    table = Table(title=title, title_justify='left', box=SIMPLE_HEAD)
    for name in ('model', 'MiB', 'state', 'licence'):
        table.add_column(name, justify='right' if name == 'MiB' else 'left', no_wrap=True)
    return table
