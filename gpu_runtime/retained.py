# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Tensors whose owner is gone and that the device may still read.

Not ``tensor.record_stream()``: torch does not take such memory back while any thread of the
process is inside ``use_mem_pool`` or a graph capture, as one that prepares a model is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Collection
import sys
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from gpu_runtime.event import Event
    from gpu_runtime.stream import Stream

PATIENCE = 2
"""A sweep ends at so many entries that are still read: those behind them are so too, mostly."""


def retain(streams: Collection[Stream], *tensors: torch.Tensor) -> None:
    """
    Hold tensors until the present work of some streams is done; for destructors.

    Parameters
    ----------
    streams : collection of Stream
        Leases of one pool; maybe none.  Not changed afterwards.
    *tensors : torch.Tensor
        What the work may still read after the caller lets go of it.  Does not block; may be
        called from any thread, and while it records a CUDA graph.

    """
    first = next(iter(streams), None)
    if first is not None and first.torch_stream is not None and not sys.is_finalizing():
        first.retained.hold(streams, tensors)


class Retained:
    """
    What the streams of one pool may still read.

    Without a lock, since a destructor may call it anywhere, also in the midst of another call on
    the same thread.  A thread that records a CUDA graph must not ask for events, nor record on
    other streams, which could end the recording: what it lets go of waits for the next call
    outside of one.  An event that is recorded later than need be is as good.

    Parameters
    ----------
    capturing : callable
        Whether the calling thread's current stream records a CUDA graph.

    """

    def __init__(
        self, capturing: Callable[[], bool] = torch.cuda.is_current_stream_capturing
    ) -> None:
        self._capturing = capturing
        self._aside: deque[tuple[Collection[Stream], tuple[torch.Tensor, ...]]] = deque()
        self._held: deque[tuple[list[Event], tuple[torch.Tensor, ...]]] = deque()

    def __len__(self) -> int:
        """Return how many owners' tensors are held."""
        return len(self._aside) + len(self._held)

    def hold(self, streams: Collection[Stream], tensors: tuple[torch.Tensor, ...]) -> None:
        """
        Hold tensors; let go of some that are not read any more.

        Parameters
        ----------
        streams : collection of Stream
            Whose present work may read them.
        tensors : tuple of torch.Tensor
            On the device.  Does not block.

        """
        self._aside.append((streams, tensors))
        if not self._capturing():
            self._sweep()
            self._record()

    def clear(self) -> None:
        """Let go of everything; the device is idle."""
        self._aside.clear()
        self._held.clear()

    def _record(self) -> None:
        while self._aside:
            try:
                streams, tensors = self._aside.popleft()
            except IndexError:  # another thread was faster
                return
            self._held.append(([stream.record() for stream in streams], tensors))

    def _sweep(self) -> None:
        """Go round, as far as patience goes; whatever is left is looked at in turn."""
        patience = PATIENCE
        for _ in range(len(self._held)):
            try:
                entry = self._held.popleft()
            except IndexError:
                return
            events = entry[0]
            while events and events[-1].passed():
                events.pop()
            if events:
                self._held.append(entry)
                patience -= 1
                if not patience:
                    return
