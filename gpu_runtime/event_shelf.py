# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA events that are recorded again when nobody holds them any more."""

from __future__ import annotations

from collections import deque

import torch

from gpu_runtime.event import Event

SPARE_EVENTS = 128
"""Kept of each kind at most: some times as many as the frames in flight have."""


class EventShelf:
    """
    Source of events; made by :class:`StreamPool`.

    To make a CUDA event costs three times as much as to record it, and a frame of six stages has
    some thirty.
    """

    def __init__(self) -> None:
        self._plain: deque[torch.cuda.Event] = deque(maxlen=SPARE_EVENTS)
        self._timed: deque[torch.cuda.Event] = deque(maxlen=SPARE_EVENTS)

    def record(self, stream: torch.cuda.Stream, *, timing: bool) -> Event:
        """
        Return an event after all work enqueued so far on a stream.

        Parameters
        ----------
        stream : torch.cuda.Stream
            Any stream.  Does not block; may be called from any thread.
        timing : bool
            Whether :meth:`Event.seconds_since` will be asked.

        Returns
        -------
        Event
            Owned by the caller; what it wraps is used again when it is gone.

        """
        shelf = self._timed if timing else self._plain
        try:
            raw = shelf.pop()
        except IndexError:
            raw = torch.cuda.Event(blocking=True, enable_timing=timing)
        raw.record(stream)
        return Event(raw, shelf)
