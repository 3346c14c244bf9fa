# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks by their torchvision name, with published, local or random weights."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import difflib
from functools import cache
import inspect
import os
from pathlib import Path
import threading
from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.errors import ModelError
from gpu_runtime.models.state_dict import load_state_dict
from gpu_runtime.models.weights_download import fetch

if TYPE_CHECKING:
    import torch
    from torchvision.models import WeightsEnum


_WEIGHTS_LOCK = threading.Lock()


def is_detector(name: str) -> bool:
    """
    Tell whether a name is one of torchvision's detectors.

    Parameters
    ----------
    name : str
        Without the ``torchvision/`` in front.

    Returns
    -------
    bool
        False for unknown names too.

    """
    from torchvision import models

    return bool(name in models.list_models(module=models.detection))


@cache
def detector_transform(name: str) -> Any:
    """
    Return how a detector of torchvision prepares its pictures.

    Parameters
    ----------
    name : str
        One that :func:`is_detector` accepts.

    Returns
    -------
    torchvision.models.detection.transform.GeneralizedRCNNTransform
        Size, mean and deviation, the same for all weights.  Takes a tenth of a second, once.

    """
    import torch
    from torchvision import models

    with torch.device('meta'):  # the shapes alone, no weights
        return models.get_model_builder(name)(**_bare(name)).transform


def check_torchvision(name: str, weights: str) -> None:
    """
    Check the name of a network and that of its weights, without loading anything.

    Parameters
    ----------
    name : str
        Without the ``torchvision/`` in front.
    weights : str
        ``'DEFAULT'``, an enum name such as ``'COCO_V1'``, ``'none'``, or a file.

    Raises
    ------
    ModelError
        If torchvision knows no such network or weights, or the file does not exist.

    """
    from torchvision import models

    known = models.list_models()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f'did you mean {" or ".join(close)}?' if close else 'correct the parameter model'
        raise ModelError(
            f'torchvision has no network {name!r}; expected a name that '
            f'torchvision.models.list_models() gives: {hint}'
        )
    if _is_file_name(weights):
        if not Path(weights).expanduser().is_file():
            load_state_dict(Path(weights).expanduser())
    elif weights != 'none':
        _published(name, weights)


def load_torchvision(name: str, weights: str) -> torch.nn.Module:
    """
    Build a network and fill in its weights.

    Parameters
    ----------
    name : str
        Without the ``torchvision/`` in front.
    weights : str
        ``'DEFAULT'`` or an enum name: published weights from torch's cache, downloaded if
        missing.  ``'none'``: random initialisation.  Else a ``.pth`` or ``.safetensors`` file.

    Returns
    -------
    torch.nn.Module
        On the host, in evaluation mode; a detector as :class:`TorchvisionDetector`.  Blocks.

    Raises
    ------
    ModelError
        If name or weights are unknown, cannot be had, or do not fit the network.

    """
    check_torchvision(name, weights)
    from torchvision import models

    module: torch.nn.Module
    builder = models.get_model_builder(name)
    if weights == 'none':
        module = builder(**_bare(name))
    elif _is_file_name(weights):
        path = Path(weights).expanduser()
        module = builder(**_bare(name))
        _fill(module, load_state_dict(path), f'{path.absolute()} into torchvision/{name}')
    else:
        member = _published(name, weights)
        with _state_dict_given(member, load_state_dict(_cached(member, name))):
            module = builder(weights=member)
    module = module.eval()
    if not is_detector(name):
        return module
    # Imported here: it takes torchvision along, which takes long to load.
    from gpu_runtime.models.detectors import TorchvisionDetector

    return TorchvisionDetector(module).eval()


def _bare(name: str) -> dict[str, None]:
    """Return the arguments of a builder that keep it from loading weights."""
    from torchvision import models

    parameters = inspect.signature(models.get_model_builder(name)).parameters
    return dict.fromkeys({'weights', 'weights_backbone'} & parameters.keys())


def _is_file_name(weights: str) -> bool:
    return weights.endswith(('.pth', '.pt', '.safetensors')) or os.sep in weights


def _published(name: str, weights: str) -> WeightsEnum:
    """Return the member of torchvision's enum that has this name."""
    from torchvision import models

    members = models.get_model_weights(name).__members__
    if weights not in members:
        raise ModelError(
            f'torchvision/{name} has no weights {weights!r}; expected one of '
            f"{', '.join(members)}, 'none' (random), or a .pth or .safetensors file"
        )
    return members[weights]


def _fill(module: torch.nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    try:
        result = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f'{where}: the shapes differ ({reason}); expected a state dict of this very network '
            'and number of classes'
        ) from error
    # Detectors are trained with frozen batch norms, whose state has no batch counter.
    missing = [key for key in result.missing_keys if not key.endswith('num_batches_tracked')]
    if missing or result.unexpected_keys:
        raise ModelError(
            f'{where}: {len(missing)} entries are missing and {len(result.unexpected_keys)} are '
            f'unknown (e.g. {(missing + result.unexpected_keys)[0]}); expected a state dict of '
            'this very network'
        )


@contextlib.contextmanager
def _state_dict_given(member: WeightsEnum, state: dict[str, torch.Tensor]) -> Iterator[None]:
    """
    Let a builder read its published weights from us.

    The builders set details (frozen batch norms, their epsilon) by the weights they are given,
    but unpickle the file without ``weights_only``; so they get the member and our safe load.
    """
    with _WEIGHTS_LOCK:
        member.get_state_dict = lambda *_, **__: state
        try:
            yield
        finally:
            del member.get_state_dict


def _cached(member: WeightsEnum, name: str) -> Path:
    """Return the file of published weights, downloaded on first use."""
    import torch

    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    path = folder / str(member.url).rsplit('/', 1)[-1]
    if path.is_file():
        return path
    try:
        fetch(member.url, path)
    except ModelError as error:
        raise ModelError(
            f'the weights {member.name} of torchvision/{name} are not at {path} and cannot be '
            f'downloaded ({error.__cause__}); put {member.url} there, set weights to a local '
            '.pth or .safetensors file, or set model to an .onnx file'
        ) from error
    return path
