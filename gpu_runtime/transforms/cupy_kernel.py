# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One compiled CUDA kernel that runs on whatever torch stream is current."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
import functools
import importlib
from typing import Any

import numpy as np
import torch

from gpu_runtime.errors import CudaError
from gpu_runtime.errors import STICKY_STATUSES


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
        self._streams: dict[int, Any] = {}

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
            caller keeps the memory behind an address alive, in stream order.  A struct is best
            viewed as plain bytes: CuPy asks numpy to describe every field, at each launch.
        shared_nbytes : int
            Dynamic shared memory of a block.

        Raises
        ------
        CudaError
            If the kernel does not compile or cannot be launched.

        """
        cuda, index = self._cupy.cuda, self._device.index
        here = torch.cuda.current_device() == index
        # CuPy tries all kinds of scalars on an int before it makes this of it.
        values = [np.int64(value) if type(value) is int else value for value in arguments]
        try:
            with nullcontext() if here else torch.cuda.device(index):
                self._kernel.kernel(grid, block, values, shared_nbytes, self._current_stream())
        except cuda.compiler.CompileException as error:
            raise CudaError(
                f'kernel {self._name} does not compile for {self._device}: {error}; expected a '
                'CuPy build for the CUDA version of this machine: check the installed cupy'
            ) from error
        except (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError) as error:
            raise CudaError(
                f'kernel {self._name} was not launched on {self._device}, grid {grid}, block '
                f'{block}: {error}',
                sticky=error.status in STICKY_STATUSES,
            ) from error

    def _current_stream(self) -> Any:
        """Return torch's current stream as CuPy's, which is made once."""
        # As inductor's code asks: the public way makes an object each time.
        address = torch._C._cuda_getCurrentRawStream(self._device.index)
        stream = self._streams.get(address)
        if stream is None:
            external = torch.cuda.current_stream(self._device)
            stream = self._streams[address] = self._cupy.cuda.Stream.from_external(external)
        return stream


@functools.cache
def kernel_if_cupy(
    source: str, name: str, device: torch.device, options: tuple[str, ...] = ()
) -> CupyKernel | None:
    """
    Return a kernel that torch can do without, the same one each time.

    Parameters
    ----------
    source, name, device, options
        As for :class:`CupyKernel`.

    Returns
    -------
    CupyKernel or None
        None where CuPy is missing, which :func:`make_image_transform` tells.

    """
    try:
        return CupyKernel(source, name, device, options=options)
    except ImportError:
        return None
