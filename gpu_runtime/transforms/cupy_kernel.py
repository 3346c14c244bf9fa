# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One compiled CUDA kernel that runs on whatever torch stream is current."""

from __future__ import annotations

from collections.abc import Sequence
import importlib

import torch

from gpu_runtime.errors import CudaError

# Statuses after which every later call in the process fails.  Source: CUDA driver API, CUresult.
_STICKY = frozenset({214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719})


class CupyKernel:
    """
    A kernel for one device, compiled by NVRTC at its first launch.

    Parameters
    ----------
    source : str
        CUDA C++ with an ``extern "C"`` kernel.
    name : str
        Name of that kernel.
    device : torch.device
        A CUDA device with its index.
    options : Sequence of str
        Options for NVRTC, such as ``-DNAME=1``.

    Raises
    ------
    ImportError
        If CuPy (14 or newer) cannot be imported.

    """

    def __init__(
        self, source: str, name: str, device: torch.device, *, options: Sequence[str] = ()
    ) -> None:
        self._cupy = importlib.import_module('cupy')
        self._device = device
        self._name = name
        self._kernel = self._cupy.RawKernel(source, name, options=('--std=c++17', *options))

    def launch(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arguments: tuple[object, ...],
        *,
        shared_nbytes: int = 0,
    ) -> None:
        """
        Enqueue the kernel on the calling thread's current torch stream; does not block.

        The first launch compiles and does block.  It must not happen while a graph is captured.

        Parameters
        ----------
        grid : tuple of int
            Blocks per axis.
        block : tuple of int
            Threads per axis of a block.
        arguments : tuple
            Python ints (64 bits: addresses and sizes) and numpy values, passed as they are.  The
            caller keeps the memory behind an address alive, in stream order.
        shared_nbytes : int
            Dynamic shared memory of a block.

        Raises
        ------
        CudaError
            If the kernel does not compile or cannot be launched.

        """
        cuda = self._cupy.cuda
        stream = torch.cuda.current_stream(self._device)
        try:
            with cuda.Device(self._device.index), cuda.Stream.from_external(stream):
                self._kernel(grid, block, arguments, shared_mem=shared_nbytes)
        except cuda.compiler.CompileException as error:
            raise CudaError(
                f'kernel {self._name} does not compile for {self._device}: {error}; expected a '
                'CuPy build for the CUDA version of this machine: check the installed cupy'
            ) from error
        except (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError) as error:
            raise CudaError(
                f'kernel {self._name} was not launched on {self._device}, grid {grid}, block '
                f'{block}: {error}',
                sticky=error.status in _STICKY,
            ) from error
