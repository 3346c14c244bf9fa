# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Owner of all device streams."""

from __future__ import annotations

import threading
from typing import Any

import torch

from gpu_runtime.driver import driver_of
from gpu_runtime.errors import LifecycleError
from gpu_runtime.event_shelf import EventShelf
from gpu_runtime.retained import Retained
from gpu_runtime.stream import Stream


class StreamPool:
    """
    Owner of all streams; hands out leases that never alias one another.

    torch's own pool hands the same 32 streams out round-robin, so that the 33rd is the 1st
    (``c10/cuda/CUDAStream.cpp``); these are created one by one, non-blocking towards the legacy
    default stream.

    Parameters
    ----------
    device : torch.device
        The device of the streams.

    Attributes
    ----------
    driver : Driver or None
        Of that device; None on a CPU.

    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._lock = threading.Lock()
        self._leased: dict[int, Stream] = {}
        self._shelf: dict[int, list[Any]] = {}
        self._priorities: dict[int, int] = {}
        self._retained = Retained()
        self.driver = driver_of(device) if device.type == 'cuda' else None
        self._events = EventShelf(self.driver) if self.driver else None

    def lease(self, name: str, *, priority: int = 0) -> Stream:
        """
        Return a stream that nobody else holds.

        Parameters
        ----------
        name : str
            Who holds it; shown in :meth:`leased`.
        priority : int
            CUDA priority: lower runs first, 0 is the lowest (CUDA clamps to the device's range).

        Returns
        -------
        Stream
            The caller gives it back with :meth:`release`.

        """
        with self._lock:
            native = self._native(priority)
            stream = Stream(name, self.device, native, self._retained, self._events)
            self._leased[id(stream)] = stream
            self._priorities[id(stream)] = priority
            return stream

    def _native(self, priority: int) -> Any | None:
        if self.device.type != 'cuda':
            return None
        shelf = self._shelf.setdefault(priority, [])
        if shelf:
            return shelf.pop()
        import cupy

        with cupy.cuda.Device(self.device.index):
            return cupy.cuda.Stream(non_blocking=True, priority=priority)

    def release(self, stream: Stream) -> None:
        """
        Take a lease back; the stream's pending work stays ordered.

        Parameters
        ----------
        stream : Stream
            A lease of this pool.

        Raises
        ------
        LifecycleError
            If the stream is not leased from this pool.

        """
        with self._lock:
            if self._leased.pop(id(stream), None) is None:
                raise LifecycleError(f'stream {stream.name!r} is not leased from this pool')
            priority = self._priorities.pop(id(stream))
            if stream.native is not None:
                self._shelf.setdefault(priority, []).append(stream.native)

    def leased(self) -> list[str]:
        """Return the names of all leases that are out."""
        with self._lock:
            return sorted(stream.name for stream in self._leased.values())

    def close(self) -> list[str]:
        """
        Drop the shelved streams and what they retained; the device is idle.

        Returns
        -------
        list of str
            Names of leases that never came back.

        """
        self._retained.clear()
        if self._events is not None:
            self._events.close()
        with self._lock:
            self._shelf.clear()
        return self.leased()
