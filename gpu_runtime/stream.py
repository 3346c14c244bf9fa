# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Order of work on the device: streams, the events between them, and the pool that owns them.

A thread that runs device work enters ``with stream:`` first.  Work is ordered between streams by
``stream.wait(event)``, never by the host; only :meth:`Event.wait_host` blocks, and only egress
threads call it.  On a CPU every method keeps its contract and does nothing.
"""

from __future__ import annotations

import threading
from typing import Any
from typing import TYPE_CHECKING
from typing import TypeVar

import torch

from gpu_runtime import current_stream
from gpu_runtime.event import Event
from gpu_runtime.retained import Retained

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from gpu_runtime.event_shelf import EventShelf
    from gpu_runtime.semaphore import Semaphore

T = TypeVar('T')


class _Entered(threading.local):
    """What was current when the calling thread entered a stream, once for each time."""

    def __init__(self) -> None:
        self.before: list[current_stream.Before] = []


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
    retained : Retained, optional
        What the streams of the pool may still read; outlives the lease.
    events : EventShelf, optional
        The pool's source of events; None on a CPU.

    Attributes
    ----------
    handle : int
        For the driver; 0 on a CPU.

    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        native: Any | None = None,
        retained: Retained | None = None,
        events: EventShelf | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.native = native
        self.retained = Retained() if retained is None else retained
        self._events = events
        self.handle = 0 if native is None else int(native.ptr)
        self.torch_stream = (
            None if native is None else torch.cuda.ExternalStream(native.ptr, device=device)
        )
        self._entered = _Entered()

    def __enter__(self) -> Stream:
        """Make this the calling thread's current stream for torch and for CuPy."""
        if self.torch_stream is not None:
            self._entered.before.append(current_stream.enter(self.torch_stream))
            self.native.__enter__()  # type: ignore[union-attr]
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
            current_stream.leave(self._entered.before.pop())

    def launch(self, work: Callable[[], T]) -> T:
        """
        Call what enqueues by torch alone, with this as torch's current stream.

        Parameters
        ----------
        work : callable
            Without arguments.  Takes a third of the time that it takes to enter the stream.

        Returns
        -------
        object
            What it returns.

        """
        if self.torch_stream is None:
            return work()
        before = current_stream.enter(self.torch_stream)
        try:
            return work()
        finally:
            current_stream.leave(before)

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
        if self._events is None:
            return Event()
        return self._events.record(self.handle, timing=timing)

    def wait(self, event: Event) -> None:
        """Order all work enqueued from now on after an event.  Does not block the host."""
        if self._events is not None and not event.over:
            self._events.driver.wait(self.handle, event.raw)

    def signal(self, semaphore: Semaphore) -> None:
        """
        Post a semaphore after all work enqueued so far, from the device.

        Parameters
        ----------
        semaphore : Semaphore
            Posted by a host function, which needs no interpreter and delays work enqueued later
            by some microseconds.  Does not block.

        Raises
        ------
        CudaError
            If it cannot be enqueued.

        """
        if self._events is None:
            semaphore.post()
        else:
            self._events.driver.call(self.handle, semaphore.post_address, semaphore.address)
