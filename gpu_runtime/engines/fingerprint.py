# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Hashes of networks, and the names of devices and libraries, for the keys of engines."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from functools import lru_cache
import hashlib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from pathlib import Path
import platform
import re

import torch

_BLOCK = 1 << 20
_LIBRARIES = ('torch', 'torchvision', 'onnx2torch', 'gpu_perception')
_ADDRESS = re.compile(r'0x[0-9a-f]{6,}')


def graph_hash(module: torch.nn.Module, name: str) -> str:
    """
    Return a hash of what a network computes.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    name : str
        Of a file that is read as a whole, or any other name.

    Returns
    -------
    str
        Of the layers, of the code of traced parts, and of the file or name.  Blocks.

    """
    digest = hashlib.sha256()
    path = Path(name)
    if path.is_file():
        with path.open('rb') as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    else:
        digest.update(name.encode())
    digest.update(_ADDRESS.sub('', repr(module)).encode())
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            digest.update(part.code.encode())
    return digest.hexdigest()


def weights_hash(module: torch.nn.Module) -> str:
    """
    Return a hash of all parameters and buffers.

    Parameters
    ----------
    module : torch.nn.Module
        On any device.

    Returns
    -------
    str
        Of names, types, shapes and values, whatever their memory order.  Blocks.

    """
    digest = hashlib.sha256()
    for name, tensor in _tensors(module):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        # Copied, as what torch calls contiguous may have a stride of 0.
        flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
        flat.copy_(tensor.detach().reshape(-1))
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def describe_inputs(inputs: Iterable[torch.Tensor]) -> str:
    """
    Return types and shapes as one text.

    Parameters
    ----------
    inputs : iterable of torch.Tensor
        In order.

    Returns
    -------
    str
        Such as ``float32 (1, 3, 224, 224)``.

    """
    return ', '.join(
        f'{str(tensor.dtype).removeprefix("torch.")} {tuple(tensor.shape)}' for tensor in inputs
    )


@lru_cache(maxsize=8)
def device_identity(device: torch.device) -> str:
    """
    Return the name of the model of a device, and what code it can run.

    Parameters
    ----------
    device : torch.device
        A GPU or the CPU.

    Returns
    -------
    str
        The same for two devices that can run each other's engines.

    """
    if device.type == 'cuda':
        major, minor = torch.cuda.get_device_capability(device)
        return f'{torch.cuda.get_device_name(device)}, compute capability {major}.{minor}'
    match = re.search(r'model name\s*:\s*(.+)', _cpu_info())
    name = match[1] if match else platform.processor()
    return f'{platform.machine()} {name}, {torch.backends.cpu.get_cpu_capability()}'


def _cpu_info() -> str:
    try:
        return Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return ''


def library_versions(more: Iterable[tuple[str, str]] = ()) -> str:
    """
    Return the versions of all that has a part in an engine.

    Parameters
    ----------
    more : iterable of tuple of str
        Names and versions of the compiler's libraries.

    Returns
    -------
    str
        Sorted.

    """
    found = dict(more)
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found['torch'] = torch.__version__
    found['cuda'] = str(torch.version.cuda)
    return ', '.join(f'{name} {number}' for name, number in sorted(found.items()))
