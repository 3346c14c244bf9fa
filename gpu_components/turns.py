# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Threads that do short things in turn, so that they do not fight for the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import TypeVar

PATIENCE_S = 0.002
"""Longest wait for the turn: what a stage that takes long may cost the others, per frame."""

_T = TypeVar('_T')


class Turns:
    """
    Lets threads work one after the other as far as that costs none of them much.

    A stage enqueues a frame by some dozen calls of torch, and each gives the interpreter lock away
    for microseconds.  Another thread that waits for it takes it there, so that six stages change
    places hundreds of times per frame, at a context switch each.

    Parameters
    ----------
    patience_s : float
        After this wait, in seconds, work begins beside that of whoever has the turn.

    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._lock = threading.Lock()
        self._patience_s = patience_s

    def run(self, work: Callable[[], _T]) -> _T:
        """
        Do some work when it is this thread's turn.

        Parameters
        ----------
        work : callable
            Without arguments.  Blocks for at most the patience before it is called.

        Returns
        -------
        object
            What it returns.

        """
        mine = self._lock.acquire(timeout=self._patience_s)
        try:
            return work()
        finally:
            if mine:
                self._lock.release()


TURNS = Turns()
"""One for the process, as the interpreter lock is."""
