# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA events that are recorded again when nobody holds them any more."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

from gpu_runtime.driver import driver_of
from gpu_runtime.event import Event

if TYPE_CHECKING:
    from gpu_runtime.driver import Driver


class EventShelf:
    """
    Source of the events of one device; made by :class:`StreamPool`.

    To make a CUDA event costs three times as much as to record it, and a frame of six stages has
    some thirty.  As many are kept as were ever held at once.

    Parameters
    ----------
    driver : Driver
        Makes, records and asks them.

    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._spare: dict[bool, list[int]] = {False: [], True: []}
        self._timed: set[int] = set()

    def record(self, stream: int, *, timing: bool) -> Event:
        """
        Return an event after all work enqueued so far on a stream.

        Parameters
        ----------
        stream : int
            Handle of any stream.  Does not block; may be called from any thread.
        timing : bool
            Whether :meth:`Event.seconds_since` will be asked.

        Returns
        -------
        Event
            Owned by the caller; what it wraps is used again when it is gone.

        """
        try:
            raw = self._spare[timing].pop()
        except IndexError:
            raw = self.driver.create_event(timing=timing)
            if timing:
                self._timed.add(raw)
        event = Event(raw, self)
        self.driver.record(raw, stream)
        return event

    def put_back(self, raw: int) -> None:
        """
        Keep a CUDA event that nobody holds; without a lock, since a destructor calls it.

        Parameters
        ----------
        raw : int
            As recorded by :meth:`record`.

        """
        self._spare[raw in self._timed].append(raw)

    def close(self) -> None:
        """Destroy the spare events."""
        for spare in self._spare.values():
            while spare:
                raw = spare.pop()
                self._timed.discard(raw)
                self.driver.destroy_event(raw)


def event_of_current_stream(device: torch.device) -> Event:
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
        return Event()
    return _shelf_of(device).record(torch.cuda.current_stream(device).cuda_stream, timing=False)


@cache
def _shelf_of(device: torch.device) -> EventShelf:
    return EventShelf(driver_of(device))
