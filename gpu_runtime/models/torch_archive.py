# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that torch itself saved: torch.export programs and TorchScript."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import threading
from typing import TYPE_CHECKING
import zipfile

from gpu_runtime.errors import ModelError
from gpu_runtime.models.export_audit import audit_export

if TYPE_CHECKING:
    import torch


# torch.export keeps what it is reading in a global: a second thread is refused (pytorch 195099).
_EXPORT_LOCK = threading.Lock()
# Without a GPU, the first thread that loads an export leaves torch a device guard of its own; once
# that thread has ended, the next load crashes the process. This thread stays.
_LASTING = ThreadPoolExecutor(1, thread_name_prefix='torch export')


def check_export(path: Path, *, allow_unsafe_models: bool) -> None:
    """
    Check a torch.export file before it is loaded.

    Parameters
    ----------
    path : Path
        A ``.pt2`` file.
    allow_unsafe_models : bool
        Skip the audit of what may run code.

    Raises
    ------
    ModelError
        If the file is no archive, or is unsafe and not allowed.

    """
    if allow_unsafe_models:
        _members(path, 'torch.export.save')
    else:
        audit_export(path)


def check_torchscript(path: Path, *, allow_unsafe_models: bool) -> None:
    """
    Check a TorchScript file before it is loaded.

    Parameters
    ----------
    path : Path
        A ``.pt``, ``.ts`` or ``.torchscript`` file.
    allow_unsafe_models : bool
        Whether the operator accepts files that carry code.

    Raises
    ------
    ModelError
        If the file is a checkpoint, no archive at all, or not allowed.

    """
    members = _members(path, 'torch.jit.save')
    if not any('/code/' in name for name in members):
        raise ModelError(
            f'{path} holds no TorchScript; expected a file that torch.jit.save wrote: if these '
            'are weights alone, set model to torchvision/<name> and weights to this file'
        )
    if not allow_unsafe_models:
        raise ModelError(
            f'{path} is TorchScript, which runs code of its author; expected an .onnx or .pt2 '
            'file: export it again, or set allow_unsafe_models if you trust its author'
        )


def load_export(path: Path, device: torch.device) -> torch.nn.Module:
    """
    Load a checked torch.export file.

    Parameters
    ----------
    path : Path
        A ``.pt2`` file.
    device : torch.device
        Where its constants and weights go.

    Returns
    -------
    torch.nn.Module
        In the mode in which it was exported.  Blocks.

    Raises
    ------
    ModelError
        If torch cannot load it.

    """
    import torch
    from torch.export.passes import move_to_device_pass

    try:
        with _EXPORT_LOCK:
            _LASTING.submit(_enter_fake_mode).result()
            program = torch.export.load(str(path))
            return move_to_device_pass(program, device).module()
    except Exception as error:  # torch raises assertion, key, zip and runtime errors here
        raise _unloadable(path, 'torch.export.save', error) from error


def _enter_fake_mode() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        pass


def load_torchscript(path: Path, device: torch.device) -> torch.nn.Module:
    """
    Load a checked TorchScript file.

    Parameters
    ----------
    path : Path
        A ``.pt``, ``.ts`` or ``.torchscript`` file.
    device : torch.device
        Where its weights go.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.  Blocks.

    Raises
    ------
    ModelError
        If torch cannot load it.

    """
    import torch

    try:
        module: torch.nn.Module = torch.jit.load(str(path), map_location=device)
    except Exception as error:  # torch raises assertion, key, zip and runtime errors here
        raise _unloadable(path, 'torch.jit.save', error) from error
    return module.eval()


def _unloadable(path: Path, writer: str, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(
        f'{path} cannot be loaded ({reason}); expected a file that {writer} of a torch no newer '
        'than the installed one wrote: save it again'
    )


def _members(path: Path, writer: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f'{path} is no torch archive ({error}); expected a file that {writer} wrote: save it '
            'again'
        ) from error
