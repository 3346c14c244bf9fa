# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Calls of the CUDA driver that only enqueue or ask, made under the interpreter lock.

torch, CuPy and NVIDIA's bindings give the lock away around each.  Such a call takes a microsecond
or two; another thread that takes the lock meanwhile keeps the caller for twenty times as long, and
a frame of six stages makes some eighty of them (decision 020).

Source: the functions of the same names in the `CUDA driver API`_, whose events and streams are
those of the runtime API.

.. _CUDA driver API: https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
from functools import cache
import threading
from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.errors import CudaError
from gpu_runtime.errors import STICKY_STATUSES

if TYPE_CHECKING:
    import torch

LIBRARY = 'libcuda.so.1'
NOT_READY = 600
BLOCKING_SYNC, DISABLE_TIMING = 1, 2

_HANDLE = ctypes.c_void_p
_TYPES: dict[str, tuple[Any, ...]] = {
    'cuInit': (ctypes.c_uint,),
    'cuDeviceGet': (_HANDLE, ctypes.c_int),
    'cuDevicePrimaryCtxRetain': (_HANDLE, ctypes.c_int),
    'cuCtxSetCurrent': (_HANDLE,),
    'cuEventCreate': (_HANDLE, ctypes.c_uint),
    'cuEventDestroy_v2': (_HANDLE,),
    'cuEventRecord': (_HANDLE, _HANDLE),
    'cuEventQuery': (_HANDLE,),
    'cuEventSynchronize': (_HANDLE,),
    'cuEventElapsedTime': (_HANDLE, _HANDLE, _HANDLE),
    'cuStreamWaitEvent': (_HANDLE, _HANDLE, ctypes.c_uint),
    'cuLaunchHostFunc': (_HANDLE, _HANDLE, _HANDLE),
    'cuMemcpyAsync': (_HANDLE, _HANDLE, ctypes.c_size_t, _HANDLE),
}


class _Thread(threading.local):
    """Whether the calling thread has the device's context."""

    entered = False


class Driver:
    """
    The driver's calls for one device; from any thread.

    Parameters
    ----------
    device : torch.device
        A CUDA device; its primary context, which torch uses too, is kept for the process.
    library, waiting : object, optional
        The library, loaded so that calls keep the interpreter lock, and so that they do not.

    Raises
    ------
    CudaError
        If the device cannot be used.

    """

    def __init__(
        self, device: torch.device, library: Any | None = None, waiting: Any | None = None
    ) -> None:
        self._library = library or _loaded(ctypes.PyDLL)
        self._waiting = waiting or _loaded(ctypes.CDLL)
        self._thread = _Thread()
        number, context = ctypes.c_int(), _HANDLE()
        self._require(self._library.cuInit(0), 'cuInit')
        status = self._library.cuDeviceGet(ctypes.addressof(number), device.index or 0)
        self._require(status, f'cuDeviceGet({device})')
        status = self._library.cuDevicePrimaryCtxRetain(ctypes.addressof(context), number.value)
        self._require(status, f'cuDevicePrimaryCtxRetain({device})')
        self._context = context.value

    def copy(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """
        Enqueue a copy between two addresses, each on the device or in page-locked memory.

        Parameters
        ----------
        to, source : int
            Of the first bytes.
        nbytes : int
            How many.
        stream : int
            Handle of the stream.  Does not block.

        Raises
        ------
        CudaError
            If it cannot be enqueued; as all methods.

        """
        self._enter()
        self._require(self._library.cuMemcpyAsync(to, source, nbytes, stream), 'cuMemcpyAsync')

    def call(self, stream: int, function: int, argument: int) -> None:
        """
        Let a function be called on the host after the work enqueued so far.

        Parameters
        ----------
        stream : int
            Handle of the stream.  Does not block.
        function : int
            Address of a C function of one pointer, which calls nothing of CUDA.
        argument : int
            That pointer.

        """
        self._enter()
        status = self._library.cuLaunchHostFunc(stream, function, argument)
        self._require(status, 'cuLaunchHostFunc')

    def wait(self, stream: int, event: int) -> None:
        """
        Order the work that is enqueued from now on after an event.

        Parameters
        ----------
        stream, event : int
            Handles.  Does not block.

        """
        self._enter()
        self._require(self._library.cuStreamWaitEvent(stream, event, 0), 'cuStreamWaitEvent')

    def create_event(self, *, timing: bool) -> int:
        """
        Return the handle of a new event, for whose waiters a thread sleeps.

        Parameters
        ----------
        timing : bool
            Whether :meth:`seconds_between` will be asked.

        Returns
        -------
        int
            The caller destroys it.

        """
        self._enter()
        made = _HANDLE()
        flags = BLOCKING_SYNC | (0 if timing else DISABLE_TIMING)
        self._require(self._library.cuEventCreate(ctypes.addressof(made), flags), 'cuEventCreate')
        assert made.value is not None
        return made.value

    def destroy_event(self, event: int) -> None:
        """
        Give an event up; never raises.

        Parameters
        ----------
        event : int
            Handle.  Work that waits for it goes on doing so.

        """
        self._library.cuEventDestroy_v2(event)

    def record(self, event: int, stream: int) -> None:
        """
        Let an event pass after the work enqueued so far.

        Parameters
        ----------
        event, stream : int
            Handles.  Does not block.

        """
        self._enter()
        self._require(self._library.cuEventRecord(event, stream), 'cuEventRecord')

    def passed(self, event: int) -> bool:
        """
        Return whether an event has passed.

        Parameters
        ----------
        event : int
            Handle.  Does not block.

        Returns
        -------
        bool
            True also if it was never recorded.

        """
        self._enter()
        status = self._library.cuEventQuery(event)
        if status != NOT_READY:
            self._require(status, 'cuEventQuery')
        return bool(status == 0)

    def synchronize(self, event: int) -> None:
        """
        Block the calling thread, without the interpreter lock, until an event has passed.

        Parameters
        ----------
        event : int
            Handle.

        """
        self._enter()
        self._require(self._waiting.cuEventSynchronize(event), 'cuEventSynchronize')

    def seconds_between(self, start: int, end: int) -> float:
        """
        Return the time between two events that have passed.

        Parameters
        ----------
        start, end : int
            Handles; both were made for it.

        Returns
        -------
        float
            Seconds on the device.

        """
        self._enter()
        elapsed_ms = ctypes.c_float()
        status = self._library.cuEventElapsedTime(ctypes.addressof(elapsed_ms), start, end)
        self._require(status, 'cuEventElapsedTime')
        return elapsed_ms.value * 1e-3

    def _enter(self) -> None:
        """Give the calling thread the context, once."""
        if not self._thread.entered:
            self._require(self._library.cuCtxSetCurrent(self._context), 'cuCtxSetCurrent')
            self._thread.entered = True

    @staticmethod
    def _require(status: int, call: str) -> None:
        if status != 0:
            sticky = status in STICKY_STATUSES
            raise CudaError(f'{call} failed with CUDA status {status}', sticky=sticky)


@cache
def driver_of(device: torch.device) -> Driver:
    """
    Return the one driver of a device.

    Parameters
    ----------
    device : torch.device
        A CUDA device.

    Returns
    -------
    Driver
        Shared by all callers.

    """
    return Driver(device)


def _loaded(kind: type[ctypes.CDLL]) -> Any:
    try:
        library = kind(LIBRARY)
    except OSError as error:
        raise CudaError(f'no CUDA driver: {error}; install that of the card') from error
    for name, types in _TYPES.items():
        getattr(library, name).argtypes = types
    return library
