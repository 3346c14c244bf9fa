# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Order of work on the device: streams, the events between them, and the pool that owns them.

A thread that runs device work enters ``with stream:`` first.  Work is ordered between streams by
``stream.wait(event)``, never by the host; only :meth:`Event.wait_host` blocks, and only egress
threads call it.  On a CPU every method keeps its contract and does nothing.
"""

from __future__ import annotations

from collections import deque
import threading
import time
from typing import Any
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import LifecycleError

if TYPE_CHECKING:
    from types import TracebackType


class Event:
    """
    A point in a stream's work; an event of the CPU has always passed.

    Parameters
    ----------
    event : torch.cuda.Event, optional
        The recorded CUDA event, or None on a CPU.

    """

    __slots__ = ('_event', '_host_s')

    def __init__(self, event: torch.cuda.Event | None = None) -> None:
        self._event = event
        self._host_s = time.perf_counter()

    @property
    def raw(self) -> torch.cuda.Event | None:
        """The CUDA event, or None on a CPU."""
        return self._event

    def passed(self) -> bool:
        """Return whether the work before the event is done.  Does not block."""
        return self._event is None or bool(self._event.query())

    def seconds_since(self, start: Event) -> float:
        """
        Return the time from another event to this one.

        Parameters
        ----------
        start : Event
            Both were recorded with ``timing=True`` and have passed.

        Returns
        -------
        float
            Seconds on the device; on a CPU, seconds of the host between the two records.

        """
        if self._event is None or start._event is None:
            return self._host_s - start._host_s
        return float(start._event.elapsed_time(self._event)) * 1e-3

    def wait_host(self) -> None:
        """Block the calling thread, asleep and without the GIL, until the event has passed."""
        if self._event is not None:
            self._event.synchronize()


_Retained = deque[tuple[Event, tuple[torch.Tensor, ...]]]


class Stream:
    """
    A lease on one device stream of its own; made by :class:`StreamPool`.

    Parameters
    ----------
    name : str
        Who leased it, for reports.
    device : torch.device
        The device whose work it orders.
    native : object, optional
        The owning ``cupy.cuda.Stream``; None on a CPU.
    retained : deque, optional
        Where :meth:`retain` holds tensors; the pool's, so that it outlives the lease.

    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        native: Any | None = None,
        retained: _Retained | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.native = native
        self._retained: _Retained = deque() if retained is None else retained
        self.torch_stream = (
            None if native is None else torch.cuda.ExternalStream(native.ptr, device=device)
        )
        self._bound = threading.local()

    def __enter__(self) -> Stream:
        """Make this the calling thread's current stream for torch and for CuPy."""
        if self.torch_stream is not None:
            guard = torch.cuda.stream(self.torch_stream)
            guard.__enter__()
            self.native.__enter__()  # type: ignore[union-attr]
            self._stack().append(guard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the calling thread its previous current streams back."""
        if self.torch_stream is not None:
            self.native.__exit__(kind, value, trace)  # type: ignore[union-attr]
            self._stack().pop().__exit__(kind, value, trace)

    def _stack(self) -> list[Any]:
        if not hasattr(self._bound, 'guards'):
            self._bound.guards = []
        guards: list[Any] = self._bound.guards
        return guards

    def record(self, *, timing: bool = False) -> Event:
        """
        Return an event after all work enqueued so far.  Does not block.

        Parameters
        ----------
        timing : bool
            Whether :meth:`Event.seconds_since` will be asked.

        Returns
        -------
        Event
            Owned by the caller.

        """
        if self.torch_stream is None:
            return Event()
        event = torch.cuda.Event(blocking=True, enable_timing=timing)
        event.record(self.torch_stream)
        return Event(event)

    def wait(self, event: Event) -> None:
        """Order all work enqueued from now on after an event.  Does not block the host."""
        if self.torch_stream is not None and event.raw is not None:
            self.torch_stream.wait_event(event.raw)

    def retain(self, *tensors: torch.Tensor) -> None:
        """
        Hold tensors until this stream's present work is done; may be called from any thread.

        Parameters
        ----------
        *tensors : torch.Tensor
            What the work may still read after the caller lets go of it.  Does not block.

        """
        # Not tensor.record_stream(): torch does not take such memory back while any thread of the
        # process is inside use_mem_pool or a graph capture, as one that prepares a model is.
        if self.torch_stream is not None:
            self._retained.append((self.record(), tensors))
            _sweep(self._retained)


def _sweep(retained: _Retained) -> None:
    """Let go of what has passed; without a lock, since a destructor may call it anywhere."""
    for _ in range(len(retained)):
        try:
            entry = retained.popleft()
        except IndexError:
            return
        if not entry[0].passed():
            retained.append(entry)


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

    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._lock = threading.Lock()
        self._leased: dict[int, Stream] = {}
        self._shelf: dict[int, list[Any]] = {}
        self._priorities: dict[int, int] = {}
        self._retained: _Retained = deque()

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
            stream = Stream(name, self.device, native, self._retained)
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
        with self._lock:
            self._shelf.clear()
        return self.leased()
