# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
In-process channels named like ROS topics: frames pass by reference, with their ready event.

Producers call :meth:`Channel.publish` from their own thread; each subscriber has a queue of its
own, so that a slow one loses its own frames and nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Generic
from typing import TypeVar

from gpu_runtime.channel import Channel
from gpu_runtime.errors import WiringError
from gpu_runtime.overflow import Overflow
from gpu_runtime.subscription import Subscription

T = TypeVar('T')


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
        changed: threading.Condition | None = None,
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
        changed : threading.Condition, optional
            Shared by the queues of a reader of several topics.

        Returns
        -------
        Subscription
            Given back with :meth:`unsubscribe`.

        """
        subscription: Subscription[T] = Subscription(
            topic, name, depth, overflow, wanted, on_drop, changed
        )
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
