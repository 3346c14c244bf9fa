# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""``gpu_perception models download``: default weights, with a progress bar and their hashes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import DownloadColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TransferSpeedColumn

from gpu_components.model_catalogue import find_model
from gpu_components.model_catalogue import KnownModel
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.models.weights_download import fetch


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
