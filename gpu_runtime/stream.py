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

if TYPE_CHECKING:
    from types import TracebackType
from gpu_runtime.event import Event

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
