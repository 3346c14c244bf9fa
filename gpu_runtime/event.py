# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A point in a stream's work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections import deque


class Event:
    """
    A point in a stream's work; an event of the CPU has always passed.

    Parameters
    ----------
    event : torch.cuda.Event, optional
        The recorded CUDA event, or None on a CPU.
    shelf : deque, optional
        Gets the CUDA event when this object, which alone may use it, is gone.

    """

    __slots__ = ('_event', '_host_s', '_over', '_shelf')

    def __init__(
        self,
        event: torch.cuda.Event | None = None,
        shelf: deque[torch.cuda.Event] | None = None,
    ) -> None:
        self._event = event
        self._shelf = shelf
        self._over = event is None
        self._host_s = time.perf_counter()

    def __del__(self) -> None:
        """Put the CUDA event back on its shelf."""
        if self._shelf is not None and self._event is not None:
            self._shelf.append(self._event)

    @classmethod
    def recorded(cls, device: torch.device) -> Event:
        """
        Return an event after all work enqueued so far on the calling thread's current stream.

        Parameters
        ----------
        device : torch.device
            Whose stream.  Does not block.

        Returns
        -------
        Event
            Owned by the caller.

        """
        if device.type != 'cuda':
            return cls()
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(device))
        return cls(event)

    @property
    def raw(self) -> torch.cuda.Event | None:
        """The CUDA event, or None on a CPU; not to be kept longer than this object."""
        return self._event

    def passed(self) -> bool:
        """Return whether the work before the event is done.  Does not block."""
        if self._event is not None and not self._over:
            self._over = bool(self._event.query())
        return self._over

    @property
    def over(self) -> bool:
        """Whether it is known already that the event has passed: the device is not asked."""
        return self._over

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
        if self._event is not None and not self._over:
            self._event.synchronize()
            self._over = True
