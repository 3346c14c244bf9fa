# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A point in a stream's work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_runtime.event_shelf import EventShelf


class Event:
    """
    A point in a stream's work; an event of the CPU has always passed.

    Parameters
    ----------
    raw : int
        Handle of the recorded CUDA event, or 0 on a CPU.
    shelf : EventShelf, optional
        Asks the device, and gets the CUDA event back when this object, which alone may use it, is
        gone.

    """

    __slots__ = ('_host_s', '_over', '_shelf', 'raw')

    def __init__(self, raw: int = 0, shelf: EventShelf | None = None) -> None:
        self.raw = raw
        self._shelf = shelf
        self._over = shelf is None
        self._host_s = time.perf_counter()

    def __del__(self) -> None:
        """Put the CUDA event back on its shelf."""
        if self._shelf is not None:
            self._shelf.put_back(self.raw)

    def passed(self) -> bool:
        """Return whether the work before the event is done.  Does not block."""
        if not self._over:
            assert self._shelf is not None
            self._over = self._shelf.driver.passed(self.raw)
        return self._over

    def settled(self) -> bool:
        """Return whether the event has passed, or never will since the device is lost."""
        try:
            return self.passed()
        except RuntimeError:
            return True

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
        if self._shelf is None:
            return self._host_s - start._host_s
        return self._shelf.driver.seconds_between(start.raw, self.raw)

    def wait_host(self) -> None:
        """Block the calling thread, asleep and without the GIL, until the event has passed."""
        if not self._over:
            assert self._shelf is not None
            self._shelf.driver.synchronize(self.raw)
            self._over = True
