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
from typing import Any
from typing import TYPE_CHECKING

import torch

from gpu_runtime import current_stream
from gpu_runtime.event import Event

if TYPE_CHECKING:
    from types import TracebackType


class _Entered(threading.local):
    """What was current when the calling thread entered a stream, once for each time."""

    def __init__(self) -> None:
        self.before: list[current_stream.Before] = []


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
