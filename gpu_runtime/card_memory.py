# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the card holds for every process, told by the driver (NVML)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import importlib
import os
from typing import Any

import torch

from gpu_runtime.errors import CudaError


@dataclass(frozen=True)
class CardMemory:
    """
    Memory of one card, in bytes.

    Parameters
    ----------
    total : int
        What the card has.
    used : int
        Held by all processes together.
    free : int
        Held by none.
    process : int or None
        Held by this process, CUDA's own share included; None where the driver does not tell, as
        in a container with process ids of its own.
    driver : str
        Version of the driver.
    cuda : tuple of int
        Newest CUDA version (major, minor) that the driver runs.

    """

    total: int
    used: int
    free: int
    process: int | None
    driver: str
    cuda: tuple[int, int]


def read_card(device: torch.device) -> CardMemory:
    """
    Ask the driver about a card.

    Parameters
    ----------
    device : torch.device
        A CUDA device.

    Returns
    -------
    CardMemory
        Takes about a millisecond; does not wait for the device.

    Raises
    ------
    CudaError
        If it is no CUDA device, the Python package nvidia-ml-py is missing, or NVML fails.

    """
    if device.type != 'cuda':
        raise CudaError(f'device {device} has no card; expected cuda:N')
    with _nvml() as nvml:
        handle = _handle(nvml, device)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
        return CardMemory(
            total=int(memory.total),
            used=int(memory.used),
            free=int(memory.free),
            process=_of_this_process(nvml, handle),
            driver=str(nvml.nvmlSystemGetDriverVersion()),
            cuda=(version // 1000, version % 1000 // 10),
        )


@contextmanager
def _nvml() -> Iterator[Any]:
    try:
        nvml = importlib.import_module('pynvml')
    except ImportError as error:
        raise CudaError(
            'the memory of the whole card is unknown: the Python package nvidia-ml-py is not '
            'installed; install it (python3-pynvml on Ubuntu)'
        ) from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise CudaError(f'NVML does not start: {error}; check nvidia-smi') from error
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise CudaError(f'NVML does not answer: {error}; check nvidia-smi') from error
    finally:
        nvml.nvmlShutdown()


def _handle(nvml: Any, device: torch.device) -> Any:
    """Return the card by its identity: CUDA and NVML may number cards differently."""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    name = uuid if uuid.startswith(('GPU-', 'MIG-')) else f'GPU-{uuid}'
    try:
        return nvml.nvmlDeviceGetHandleByUUID(name)
    except nvml.NVMLError:
        return nvml.nvmlDeviceGetHandleByIndex(device.index or 0)


def _of_this_process(nvml: Any, handle: Any) -> int | None:
    for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
        if process.pid == os.getpid():
            return int(process.usedGpuMemory) if process.usedGpuMemory else None
    return None
