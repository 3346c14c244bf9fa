# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The device that a parameter names, and what is set once for the libraries on it."""

from __future__ import annotations

import os
import re

import torch

from gpu_runtime.errors import CudaError
from gpu_runtime.errors import ParameterError

_DEVICE = re.compile(r'(auto|cpu|cuda)(?:(?<=cuda):([0-9]{1,4}))?')


def resolve_device(name: str) -> torch.device:
    """
    Return the device that a parameter names.

    Parameters
    ----------
    name : str
        ``'cpu'``, ``'cuda'``, ``'cuda:N'``, or ``'auto'``: the first CUDA device if there is
        one that works, else the CPU.

    Returns
    -------
    torch.device
        With an index if it is a CUDA device.

    Raises
    ------
    ParameterError
        If the name is none of these.
    CudaError
        If a CUDA device is asked for and not there.

    """
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise ParameterError(f'device {name!r}; expected auto, cpu, cuda or cuda:N')
    kind, index = match.groups()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == 'cpu' or (kind == 'auto' and count == 0):
        return torch.device('cpu')
    if int(index or 0) >= count:
        raise CudaError(
            f'device {name!r}: this process sees {count} CUDA device(s); check the driver with '
            'nvidia-smi and CUDA_VISIBLE_DEVICES, or set device:=cpu'
        )
    return torch.device('cuda', int(index or 0))


def share_allocator() -> None:
    """Make CuPy take device memory from torch's caching allocator, so that there is one pool."""
    import cupy

    def free(pointer: int, _device: int) -> None:
        torch.cuda.caching_allocator_delete(pointer)

    def allocate(nbytes: int, device: int) -> int:
        stream = cupy.cuda.get_current_stream().ptr
        return int(torch.cuda.caching_allocator_alloc(nbytes, device, stream))

    cupy.cuda.set_allocator(cupy.cuda.PythonFunctionAllocator(allocate, free).malloc)


CUBLAS_WORKSPACE = ':4096:2:16:8'
"""
Two chunks of 4 MiB, eight of 16 KiB (`CUBLAS_WORKSPACE_CONFIG`_, decision 019): what torch gives
cuBLAS on cards before compute capability 9.  From there on it gives 32 MiB, per stream and per
captured graph.

.. _CUBLAS_WORKSPACE_CONFIG: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
"""


def limit_workspaces() -> None:
    """Have torch give cuBLAS little memory, unless the user set how much; before its first use."""
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', CUBLAS_WORKSPACE)


STACK_BYTES = 256
"""
Stack of a thread on the device (decision 019).  CUDA's default is 1 KiB, set aside for each thread
that the device can run at once: 264 MiB on an H100.  A kernel that is known to need more gets more
when it is launched; who recurses, or calls by pointer, has to set the limit
(`cudaDeviceSetLimit`_).

.. _cudaDeviceSetLimit: https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html
"""


def limit_stacks() -> None:
    """Set little memory aside for the stacks of the current device; waits for its work."""
    from cuda.bindings import runtime

    stack = runtime.cudaLimit.cudaLimitStackSize
    status, now = runtime.cudaDeviceGetLimit(stack)
    if int(status) == 0 and now > STACK_BYTES:
        runtime.cudaDeviceSetLimit(stack, STACK_BYTES)  # where it is refused, CUDA's default holds
