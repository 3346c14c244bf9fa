# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A few threads that run what is submitted, with one kept free for what is urgent.

Not concurrent.futures: its threads are joined at interpreter exit, so one callback that hangs
would keep the process from ending, and it cannot keep a thread in reserve.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import threading
import time
from typing import Generic
from typing import TypeVar

from gpu_runtime.errors import ParameterError

Work = TypeVar('Work')


class WorkerPool(Generic[Work]):
    """
    Do ordinary work on at most `threads` threads, urgent work on one more.

    Threads start when first needed and are daemons.

    Parameters
    ----------
    threads : int
        At least 1.
    name : str
        Prefix of the thread names.
    run : callable
        Does one piece of work, on one of the threads; must not raise.

    Raises
    ------
    ParameterError
        If `threads` is less than 1.

    """

    def __init__(self, threads: int, name: str, run: Callable[[Work], None]) -> None:
        if threads < 1:
            raise ParameterError(
                f'{name} threads: expected at least 1, got {threads}; '
                'pass the number of callbacks that may run side by side'
            )
        self._limit = threads
        self._name = name
        self._run = run
        self._changed = threading.Condition()
        self._ordinary: deque[Work] = deque()
        self._urgent: deque[Work] = deque()
        self._ordinary_running = 0
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Work, *, urgent: bool = False) -> bool:
        """
        Queue work; first come, first served within its class.

        Parameters
        ----------
        work : Work
            Given to `run` once.
        urgent : bool
            True to let it use the reserved thread.

        Returns
        -------
        bool
            False if the pool is closed, so that the work will not be done.

        """
        with self._changed:
            if self._closed:
                return False
            (self._urgent if urgent else self._ordinary).append(work)
            self._grow()
            self._changed.notify()
        return True

    def close(self) -> list[Work]:
        """Take no more work and return what was not begun; may be called again."""
        with self._changed:
            self._closed = True
            dropped = [*self._urgent, *self._ordinary]
            self._urgent.clear()
            self._ordinary.clear()
            self._changed.notify_all()
        return dropped

    def join(self, timeout_s: float | None = None) -> bool:
        """
        Wait for the work that was begun before `close`. Blocks; may be called again.

        Parameters
        ----------
        timeout_s : float or None
            Longest wait in seconds; None waits without limit.

        Returns
        -------
        bool
            True when no thread is left, apart from the calling one.

        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        others = [t for t in self._threads if t is not threading.current_thread()]
        for thread in others:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in others)

    def _grow(self) -> None:
        waiting = len(self._urgent) + len(self._ordinary)
        if waiting <= self._idle or len(self._threads) > self._limit:
            return
        thread = threading.Thread(
            target=self._serve, name=f'{self._name}-{len(self._threads)}', daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._closed or self._has_work())
                self._idle -= 1
                if self._closed:
                    return
                ordinary = not self._urgent
                work = (self._ordinary if ordinary else self._urgent).popleft()
                self._ordinary_running += ordinary
            self._run(work)
            del work  # or an idle thread keeps a destroyed node alive
            with self._changed:
                self._ordinary_running -= ordinary
                if ordinary and self._ordinary:
                    self._changed.notify()

    def _has_work(self) -> bool:
        return bool(self._urgent) or (
            bool(self._ordinary) and self._ordinary_running < self._limit
        )
