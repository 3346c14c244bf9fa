# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights from files, by loaders that cannot run code."""

from __future__ import annotations

from pathlib import Path
import pickle
from typing import TYPE_CHECKING

from gpu_runtime.errors import ModelError

if TYPE_CHECKING:
    import torch


def load_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """
    Read a state dict from ``.safetensors``, or from a ``.pth`` / ``.pt`` checkpoint.

    Parameters
    ----------
    path : Path
        The file.  A checkpoint may hold the state dict under ``model`` or ``state_dict``.

    Returns
    -------
    dict of str to torch.Tensor
        On the host.  Blocks.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds anything but tensors.

    """
    if not path.is_file():
        raise ModelError(
            f'weights file {path.absolute()} does not exist; expected a .safetensors or .pth '
            "state dict, an enum name such as 'DEFAULT', or 'none': correct the parameter weights"
        )
    state = _read(path)
    for key in ('model', 'state_dict'):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    return _require_tensors(state, path)


def _read(path: Path) -> object:
    import safetensors
    from safetensors.torch import load_file
    import torch

    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        return torch.load(path, map_location='cpu', weights_only=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f'weights file {path.absolute()} cannot be loaded safely ({reason}); expected a '
            'state dict of tensors: save it again with safetensors.torch.save_file'
        ) from error


def _require_tensors(state: object, path: Path) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(state, dict) or not state:
        raise ModelError(
            f'weights file {path.absolute()} holds a {type(state).__name__}; expected a state '
            'dict: save model.state_dict()'
        )
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                f'weights file {path.absolute()}: entry {name!r} is a {type(value).__name__}; '
                'expected tensors only: save model.state_dict()'
            )
    return state
