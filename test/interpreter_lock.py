# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Tells whether a call lets other threads of Python run."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
import sys
import threading
import time
from typing import TypeVar

Returned = TypeVar('Returned')


class OtherThread:
    """A thread that notes when it runs."""

    def __init__(self) -> None:
        self._ticks: list[float] = []
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._tick)

    def _tick(self) -> None:
        while not self._stop.is_set():
            self._ticks.append(time.perf_counter())
            time.sleep(0)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def runs_during(
        self, call: Callable[..., Returned], *arguments: object
    ) -> tuple[Returned, bool]:
        """Return what a call returns, and whether the thread ran meanwhile."""
        begin = time.perf_counter()
        returned = call(*arguments)
        end = time.perf_counter()
        return returned, any(begin < tick < end for tick in self._ticks)


@contextmanager
def other_thread() -> Iterator[OtherThread]:
    """Start a thread that runs only while the interpreter lock is given up of one's own accord."""
    other = OtherThread()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(30.0)  # Nobody is made to give the interpreter up.
    try:
        other.thread.start()
        yield other
    finally:
        other.stop()
        sys.setswitchinterval(interval)
        other.thread.join()
