# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A wait set that serves many waits; rclpy's executors build one anew for each.

Who calls: the thread of `SubscriptionReader`, and no other.

Events (a publisher whose profile or type does not fit) are waited for here too: with Fast DDS who
waits for an event of a subscription is woken by each of its messages, an executor as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from rclpy.context import Context
from rclpy.event_handler import EventHandler
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription

_NO_LIMIT = -1


class SubscriptionWait:
    """
    Wait for messages and events of some subscriptions, or for a guard condition.

    What it waits for is in use until `close`: destroyed meanwhile, it goes then.

    Parameters
    ----------
    context : Context
        Of all the others.
    subscriptions : iterable of Subscription
        Those that have been destroyed already are left out.
    guard : GuardCondition
        Ends a wait.

    Raises
    ------
    InvalidHandle
        If the context or the guard condition has been destroyed.

    """

    def __init__(
        self,
        context: Context,
        subscriptions: Iterable[Subscription[Any]],
        guard: GuardCondition,
    ) -> None:
        self._guard = guard.handle
        self._subscriptions: dict[int, Subscription[Any]] = {}
        self._events: list[tuple[Subscription[Any], EventHandler]] = []
        with ExitStack() as stack:
            stack.enter_context(_handle(context))
            stack.enter_context(guard.handle)
            for subscription in subscriptions:
                try:
                    stack.enter_context(subscription.handle)
                    for event in subscription.event_handlers:
                        stack.enter_context(event)
                except InvalidHandle:
                    continue
                self._subscriptions[subscription.handle.pointer] = subscription
                self._events += [(subscription, event) for event in subscription.event_handlers]
            counts = (len(self._subscriptions), 1, 0, 0, 0, len(self._events))
            self._set = rclpy_implementation.WaitSet(*counts, _handle(context))
            self._in_use = stack.pop_all()

    def wait(self) -> tuple[list[Subscription[Any]], list[tuple[Subscription[Any], EventHandler]]]:
        """
        Wait until something happens. Blocks, without the interpreter lock.

        Returns
        -------
        subscriptions : list of Subscription
            Those that have messages, in the order they were given in; may be empty.
        events : list of tuple
            The events that have happened, each with its subscription; none while there are
            messages, since an event that waits ends the next wait at once.

        """
        wait_set = self._set
        wait_set.clear_entities()  # a wait leaves only what was ready in it
        wait_set.add_guard_condition(self._guard)
        for subscription in self._subscriptions.values():
            wait_set.add_subscription(subscription.handle)
        for _, event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(_NO_LIMIT)
        ready = wait_set.get_ready_entities('subscription')
        if ready:
            return [self._subscriptions[pointer] for pointer in ready], []
        return [], [each for each in self._events if each[1].is_ready(wait_set)]

    def close(self) -> None:
        """Let go of everything."""
        self._in_use.close()


def _handle(context: Context) -> Any:
    if context.handle is None:
        raise InvalidHandle('the context is not initialised')
    return context.handle
