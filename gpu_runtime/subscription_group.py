# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The queues of one reader that is fed by several topics: one wait for all of them.

Each topic keeps a queue of its own, so that a fast camera loses its own pictures and nobody
else's; the reader takes them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import cast
from typing import Generic
from typing import TypeVar

from gpu_runtime.subscription import Subscription

T = TypeVar('T')


class SubscriptionGroup(Generic[T]):
    """
    Several subscriptions that one thread reads.

    Parameters
    ----------
    subscriptions : tuple of Subscription
        At least one; all made with ``changed``.
    changed : threading.Condition
        Theirs.

    """

    def __init__(
        self, subscriptions: tuple[Subscription[T], ...], changed: threading.Condition
    ) -> None:
        self._subscriptions = subscriptions
        self._changed = changed
        self._first = 0
        self._waiting = False
        self._called = False
        self._at_once: Callable[[int, T], bool | None] = lambda index, item: False
        for subscription in subscriptions:
            subscription.dispatch = self._dispatch

    def serve(self, at_once: Callable[[int, T], bool | None]) -> None:
        """
        Let items be taken on the thread that brings them, while the reader waits for one.

        Parameters
        ----------
        at_once : callable
            Gets the index of the subscription and the item; returns whether it took it, or None
            if somebody will call :meth:`retry` when it can.  Called with the condition held: the
            reader is not given another one before it returns.

        """
        self._at_once = at_once

    def retry(self, *, needed: bool = True) -> None:
        """
        Let what could not be taken at once be taken now, on the calling thread.

        Parameters
        ----------
        needed : bool
            False leaves it to who brings the next item, unless that one waits for room itself.

        """
        if not needed and not any(each.blocked for each in self._subscriptions):
            return
        with self._changed:
            if not self._dispatch():
                self._changed.notify_all()

    def _dispatch(self) -> bool:
        """Let items be taken at once, as far as that goes; return whether the reader sleeps on."""
        taken: bool | None = True
        while taken and self._waiting and self._queued():
            index = self._next_index()
            item = cast(T, self._subscriptions[index].pop())
            taken = self._given(index, item)
            if taken:
                self._first = (index + 1) % len(self._subscriptions)
            else:
                self._subscriptions[index].put_back(item)
        self._called = taken is False or not self._waiting
        return not self._called

    def _given(self, index: int, item: T) -> bool | None:
        self._waiting = False  # what this item leads to may come back here
        try:
            return self._at_once(index, item)
        finally:
            self._waiting = True

    def _next_index(self) -> int:
        """Return the subscription whose turn it is, of those that have items."""
        count = len(self._subscriptions)
        index = self._first
        while not self._subscriptions[index].queued:
            index = (index + 1) % count
        return index

    @property
    def closed(self) -> bool:
        """Whether every subscription is closed."""
        return all(subscription.closed for subscription in self._subscriptions)

    def take(
        self, timeout_s: float | None = None, *, most: int = 1, linger_s: float = 0.0
    ) -> list[tuple[int, T]]:
        """
        Return what waits, oldest first within a topic and the topics in turn.

        Blocks until there is an item, and for at most ``linger_s`` more until there are ``most``.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait for the first item; None waits for ever.
        most : int
            Items to return at most.
        linger_s : float
            Seconds to wait for the rest.

        Returns
        -------
        list of tuple
            Index of the subscription, and its item; empty after the timeout or when closed.

        """
        with self._changed:
            if not self._is_called(timeout_s):
                return []
            if linger_s > 0.0:
                self._linger(most, linger_s)
            return self._taken(most)

    def _is_called(self, timeout_s: float | None) -> bool:
        """
        Wait until an item is the reader's: others take those that they can, after a delay too.

        A reader that took what merely waits would keep taking it, and never sleep again.
        """
        self._waiting = True
        try:
            if self._dispatch():
                self._changed.wait_for(lambda: self._called or self.closed, timeout_s)
            return self._called or not self._dispatch()
        finally:
            self._waiting = False

    def _linger(self, most: int, linger_s: float) -> None:
        """Wait for the rest of a batch, of which there is one at least."""
        end_s = time.monotonic() + linger_s
        while 0 < self._queued() < most and not self.closed:
            left_s = end_s - time.monotonic()
            if left_s <= 0.0 or not self._changed.wait(left_s):
                return

    def _queued(self) -> int:
        queued = 0
        for subscription in self._subscriptions:
            queued += subscription.queued
        return queued

    def _taken(self, most: int) -> list[tuple[int, T]]:
        """Go round the queues, from the one after the last that was served."""
        items: list[tuple[int, T]] = []
        count = len(self._subscriptions)
        idle = 0
        while len(items) < most and idle < count:
            index = self._first
            self._first = (index + 1) % count
            item = self._subscriptions[index].pop()
            if item is None:
                idle += 1
            else:
                idle = 0
                items.append((index, item))
        return items

    def close(self) -> None:
        """Close all subscriptions and wake the reader."""
        for subscription in self._subscriptions:
            subscription.close()
