# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of one subscriber on the bus."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import threading
from typing import Generic
from typing import TypeVar

from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import WiringError
from gpu_runtime.overflow import Overflow

T = TypeVar('T')


class Subscription(Generic[T]):
    """
    The queue of one subscriber; made by :meth:`FrameBus.subscribe`.

    Parameters
    ----------
    topic : str
        Fully qualified topic.
    name : str
        Who reads, for reports.
    depth : int
        Items the queue holds.
    overflow : Overflow
        What happens to one more.
    wanted : callable
        Whether the reader would use an item now; asked before costly work is done for it.
    on_drop : callable
        Called once per dropped item, on the producer's thread.
    changed : threading.Condition, optional
        Shared by the queues of one reader, see
        :class:`~gpu_runtime.subscription_group.SubscriptionGroup`; default its own.

    """

    def __init__(
        self,
        topic: str,
        name: str,
        depth: int,
        overflow: Overflow,
        wanted: Callable[[], bool],
        on_drop: Callable[[], None],
        changed: threading.Condition | None = None,
    ) -> None:
        if depth < 1:
            raise WiringError(f'{name}: depth {depth} on {topic}; expected at least 1')
        self.topic = topic
        self.name = name
        self.depth = depth
        self.overflow = overflow
        self.wanted = wanted
        self._on_drop = on_drop
        self.delivered = 0
        self.dropped = 0
        self._items: deque[T] = deque()
        self._changed = changed or threading.Condition()
        self._closed = False
        self._blocked = 0
        self.dispatch: Callable[[], bool] | None = None
        """
        Called with the condition held while items are queued: hands on those that can be, and
        returns whether the reader can sleep on.
        """

    def push(self, item: T) -> None:
        """
        Queue an item as the overflow policy says, and hand it on if that can be at once.

        Blocks only with ``BLOCK``.

        Parameters
        ----------
        item : object
            Held by reference until it is taken or dropped.

        Raises
        ------
        LifecycleError
            With ``FAULT``, when the queue is full.

        """
        with self._changed:
            if len(self._items) >= self.depth and self.dispatch is not None:
                self.dispatch()
            if len(self._items) >= self.depth and not self._closed:
                if self.overflow is Overflow.BLOCK:
                    self._wait_for_room()
                elif not self._make_room():
                    return
            if self._closed:
                return
            self._items.append(item)
            if self.dispatch is None or not self.dispatch():
                self._changed.notify_all()

    def _wait_for_room(self) -> None:
        self._blocked += 1
        self._changed.wait_for(lambda: self._closed or len(self._items) < self.depth)
        self._blocked -= 1

    def _make_room(self) -> bool:
        self.dropped += 1
        self._on_drop()
        if self.overflow is Overflow.FAULT:
            raise LifecycleError(f'{self.name}: queue of {self.depth} on {self.topic} is full')
        if self.overflow is Overflow.DROP_OLDEST:
            self._items.popleft()
            # More than one item goes if the depth was lowered meanwhile.
            return len(self._items) < self.depth or self._make_room()
        return False

    def take(self, timeout_s: float | None = None) -> T | None:
        """
        Return the oldest item; blocks until there is one.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait; None waits for ever.

        Returns
        -------
        object or None
            None after the timeout, or when the subscription is closed.

        """
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait_for(lambda: self._closed or bool(self._items), timeout_s)
            return self.pop()

    def pop(self) -> T | None:
        """Return the oldest item, or None; for who holds the condition."""
        if not self._items:
            return None
        self.delivered += 1
        item = self._items.popleft()
        if self._blocked:
            self._changed.notify_all()
        return item

    def put_back(self, item: T) -> None:
        """Queue what :meth:`pop` returned before all else; for who holds the condition."""
        self.delivered -= 1
        self._items.appendleft(item)

    @property
    def blocked(self) -> bool:
        """Whether a producer waits for room."""
        return self._blocked > 0

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def queued(self) -> int:
        """Items waiting now."""
        return len(self._items)

    def close(self) -> None:
        """Drop what is queued and wake everyone who waits."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
