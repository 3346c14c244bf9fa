# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One topic on the bus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic
from typing import TypeVar

from gpu_runtime.errors import LifecycleError
from gpu_runtime.subscription import Subscription

T = TypeVar('T')


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
        subscriptions = self._subscriptions
        return bool(subscriptions) and any(each.wanted() for each in subscriptions)

    def wanting(self) -> tuple[Subscription[T], ...]:
        """Return the subscribers that would use an item now."""
        return tuple([each for each in self._subscriptions if each.wanted()])

    def publish(self, item: T, subscriptions: Iterable[Subscription[T]] | None = None) -> None:
        """
        Hand an item to every subscriber that wants it, by reference.

        Parameters
        ----------
        item : object
            Usually a :class:`~gpu_runtime.frame.Frame`.
        subscriptions : iterable of Subscription, optional
            What :meth:`wanting` returned, where it was asked already.

        Raises
        ------
        LifecycleError
            If a queue with ``FAULT`` was full; every other subscriber has the item.

        """
        self.published += 1
        fault: LifecycleError | None = None
        for subscription in self.wanting() if subscriptions is None else subscriptions:
            try:
                subscription.push(item)
            except LifecycleError as error:
                fault = error
        if fault is not None:
            raise fault
