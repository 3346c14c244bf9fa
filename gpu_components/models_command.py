# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception models``: what is known, what is here, and downloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import difflib

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import DownloadColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TransferSpeedColumn
from rich.table import Table

from gpu_components.model_catalogue import known_models
from gpu_components.model_catalogue import KnownModel
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import ModelError
from gpu_runtime.models.weights_download import fetch

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


def download_models(names: Sequence[str], *, console: Console | None = None) -> int:
    """
    Download the default weights of some models, with a progress bar, and check their hashes.

    Parameters
    ----------
    names : sequence of str
        Values of the parameter ``model``; ``torchvision/`` may be left out.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0 if all of them are here and intact; else 1.

    """
    console = console or Console()
    failed = 0
    for name in names:
        try:
            console.print(_download(find_model(name), console))
        except GpuPerceptionError as error:
            console.print(str(error), style='bold red', markup=False, soft_wrap=True)
            failed = 1
    return failed


def find_model(name: str) -> KnownModel:
    """
    Return a known model.

    Parameters
    ----------
    name : str
        Value of the parameter ``model``; ``torchvision/`` may be left out.

    Returns
    -------
    KnownModel
        With its default weights.

    Raises
    ------
    ModelError
        If there is none of this name.

    """
    known = {model.model: model for model in known_models()}
    found = known.get(name) or known.get(f'torchvision/{name}')
    if found is None:
        close = difflib.get_close_matches(f'torchvision/{name}', known, 3, 0.5)
        hint = f'did you mean {" or ".join(close)}?' if close else 'see `gpu_perception models`'
        raise ModelError(f'no model {name!r} is known; {hint}')
    return found


def _download(model: KnownModel, console: Console) -> str:
    if model.cached and (not model.url or model.intact()):
        return f'{model.model}: here already, {model.path}'
    with Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=console,
    ) as bar:
        task = bar.add_task(model.path.name, total=model.nbytes or None)

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or model.nbytes)

        fetch(model.url, model.path, move)
    return f'{model.model}: {model.path}, hash as promised'
