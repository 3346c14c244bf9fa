# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Coroutines that await something, until it is time to try them again.

Who calls: worker threads park and nudge; a thread of its own resumes. A coroutine of rclpy up to
Kilted does not say what it awaits, so it is tried again whenever a callback has finished (which is
how nearly every future here is completed), and every 32 ms at the latest for those that other
threads complete. The stock executors try in a busy loop instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import threading
import time

from gpu_components.executor.ready_task import ReadyTask

_SHORTEST_S = 0.001
_LONGEST_S = 0.032


class ParkedTasks:
    """
    Hold suspended tasks and give them back to be resumed.

    Parameters
    ----------
    resume : callable
        Called with each task on this object's thread; must not block.

    """

    def __init__(self, resume: Callable[[ReadyTask], None]) -> None:
        self._resume = resume
        self._changed = threading.Condition()
        self._parked: list[ReadyTask] = []
        self._pause_s = _SHORTEST_S
        self._nudged = False
        self._stopped = False
        self._thread: threading.Thread | None = None

    def park(self, ready: ReadyTask) -> None:
        """
        Keep a suspended task; one that was not resumed before is tried again sooner.

        Parameters
        ----------
        ready : ReadyTask
            A detached task that is not finished.

        """
        with self._changed:
            if not self._stopped:
                self._parked.append(ready)
                if not ready.is_resumed:
                    self._pause_s = _SHORTEST_S
                self._start()
                self._changed.notify()
                return
        ready.abandon()

    def nudge(self) -> None:
        """Say that something happened which a parked task may be waiting for."""
        with self._changed:
            self._nudged = True
            self._pause_s = _SHORTEST_S
            self._changed.notify()

    def stop(self) -> None:
        """Abandon all that is parked; may be called again."""
        with self._changed:
            self._stopped = True
            parked, self._parked = self._parked, []
            self._changed.notify()
        for ready in parked:
            ready.abandon()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name='parked-tasks', daemon=True)
            self._thread.start()

    def _poll(self) -> None:
        while not self._stopped:
            for ready in self._take_due():
                self._resume(replace(ready, is_resumed=True))
            time.sleep(_SHORTEST_S)  # at most a thousand times a second, however often nudged

    def _take_due(self) -> list[ReadyTask]:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._parked)
            self._changed.wait_for(lambda: self._stopped or self._nudged, self._pause_s)
            if not self._nudged:
                self._pause_s = min(2 * self._pause_s, _LONGEST_S)
            self._nudged = False
            due, self._parked = self._parked, []
            return due
