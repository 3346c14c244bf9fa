# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
In-process channels named like ROS topics: frames pass by reference, with their ready event.

Producers call :meth:`Channel.publish` from their own thread; each subscriber has a queue of its
own, so that a slow one loses its own frames and nobody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
import threading
from typing import Generic
from typing import TypeVar

from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import WiringError

T = TypeVar('T')


class Overflow(str, Enum):
    """What a full queue does with one more item."""

    DROP_OLDEST = 'drop_oldest'
    DROP_NEWEST = 'drop_newest'
    BLOCK = 'block'
    """The producer waits: for files, where every picture counts, never for live cameras."""
    FAULT = 'fault'
    """The producer gets a :class:`~gpu_runtime.errors.LifecycleError`."""


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

    """

    def __init__(
        self,
        topic: str,
        name: str,
        depth: int,
        overflow: Overflow,
        wanted: Callable[[], bool],
        on_drop: Callable[[], None],
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
        self._changed = threading.Condition()
        self._closed = False

    def push(self, item: T) -> None:
        """
        Queue an item as the overflow policy says; blocks only with ``BLOCK``.

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
            if self.overflow is Overflow.BLOCK:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self.depth)
            if self._closed:
                return
            if len(self._items) >= self.depth and not self._make_room():
                return
            self._items.append(item)
            self._changed.notify_all()

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
            self._changed.wait_for(lambda: self._closed or bool(self._items), timeout_s)
            if self._closed or not self._items:
                return None
            self.delivered += 1
            item = self._items.popleft()
            self._changed.notify_all()
            return item

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


class Channel(Generic[T]):
    """
    One topic on the bus; made by :class:`FrameBus`.

    Parameters
    ----------
    topic : str
        Fully qualified topic.

    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.published = 0
        self.producer: str | None = None
        self._subscriptions: tuple[Subscription[T], ...] = ()

    @property
    def subscriptions(self) -> tuple[Subscription[T], ...]:
        """Subscribers now."""
        return self._subscriptions

    def wanted(self) -> bool:
        """Return whether any subscriber would use an item now."""
        return any(subscription.wanted() for subscription in self._subscriptions)

    def publish(self, item: T) -> None:
        """
        Hand an item to every subscriber that wants it, by reference.

        Parameters
        ----------
        item : object
            Usually a :class:`~gpu_runtime.frame.Frame`.

        Raises
        ------
        LifecycleError
            If a queue with ``FAULT`` was full; every other subscriber has the item.

        """
        self.published += 1
        fault: LifecycleError | None = None
        for subscription in self._subscriptions:
            try:
                if subscription.wanted():
                    subscription.push(item)
            except LifecycleError as error:
                fault = error
        if fault is not None:
            raise fault


class FrameBus(Generic[T]):
    """All channels of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, Channel[T]] = {}

    def channel(self, topic: str) -> Channel[T]:
        """
        Return the channel of a topic, made at the first call.

        Parameters
        ----------
        topic : str
            Fully qualified topic.

        Returns
        -------
        Channel
            Shared by all callers.

        """
        with self._lock:
            return self._channels.setdefault(topic, Channel(topic))

    def channels(self) -> list[Channel[T]]:
        """Return all channels that have a producer or a subscriber."""
        with self._lock:
            return [c for c in self._channels.values() if c.producer or c.subscriptions]

    def advertise(self, topic: str, producer: str) -> Channel[T]:
        """
        Become the producer of a topic.

        Parameters
        ----------
        topic : str
            Fully qualified topic.
        producer : str
            Who publishes.

        Returns
        -------
        Channel
            Given back with :meth:`withdraw`.

        Raises
        ------
        WiringError
            If another producer has the topic.

        """
        channel = self.channel(topic)
        with self._lock:
            if channel.producer is not None:
                raise WiringError(
                    f'{producer} and {channel.producer} both publish {topic} in this process; '
                    'remap one of them'
                )
            channel.producer = producer
        return channel

    def withdraw(self, channel: Channel[T]) -> None:
        """
        Stop being the producer of a channel.

        Parameters
        ----------
        channel : Channel
            As returned by :meth:`advertise`.

        """
        with self._lock:
            channel.producer = None

    def subscribe(
        self,
        topic: str,
        name: str,
        *,
        depth: int = 1,
        overflow: Overflow = Overflow.DROP_OLDEST,
        wanted: Callable[[], bool] = lambda: True,
        on_drop: Callable[[], None] = lambda: None,
    ) -> Subscription[T]:
        """
        Return a queue on a topic, whether or not it has a producer yet.

        Parameters
        ----------
        topic : str
            Fully qualified topic.
        name : str
            Who reads.
        depth : int
            Items the queue holds.
        overflow : Overflow
            What a full queue does.
        wanted : callable
            Whether the reader would use an item now.
        on_drop : callable
            Called once per dropped item, on the producer's thread.

        Returns
        -------
        Subscription
            Given back with :meth:`unsubscribe`.

        """
        subscription: Subscription[T] = Subscription(topic, name, depth, overflow, wanted, on_drop)
        channel = self.channel(topic)
        with self._lock:
            channel._subscriptions = (*channel._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        """
        Close a queue and take it off its topic.

        Parameters
        ----------
        subscription : Subscription
            As returned by :meth:`subscribe`; a second call does nothing.

        """
        channel = self.channel(subscription.topic)
        with self._lock:
            channel._subscriptions = tuple(
                other for other in channel._subscriptions if other is not subscription
            )
        subscription.close()
