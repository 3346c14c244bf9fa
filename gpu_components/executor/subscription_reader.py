# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Takes serialized messages off the middleware, on one thread and without the interpreter lock.

Who calls: any thread makes and destroys subscriptions; `PlaneExecutor` shuts it down. Callbacks
run on the reader's thread, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from contextlib import suppress
import threading
import time
from typing import Any
from typing import cast
from typing import NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.utilities import get_default_context

from gpu_components.executor.error_policy import apply_policy
from gpu_components.executor.error_policy import ErrorPolicy
from gpu_components.executor.subscription_wait import SubscriptionWait
from gpu_components.message_memory import MessageMemory
from gpu_runtime.event import Event
from gpu_runtime.pinned_pool import PinnedPool

_PAUSE_S = 0.01  # after a failure of the middleware, so that a lasting one takes no whole core


class _NotForExecutors(CallbackGroup):
    """Keeps executors from a subscription and its events."""

    def can_execute(self, entity: object) -> bool:
        return False


class _Served(NamedTuple):
    """What belongs to a subscription."""

    node: Node
    memory: MessageMemory


class SubscriptionReader:
    """
    Read subscriptions on a thread of its own, which starts with the first and sleeps without.

    Parameters
    ----------
    on_error : ErrorPolicy
        Called on the reader's thread with what a callback raises, and with failures of the
        middleware and of memory (which belong to no entity and no node; both are tried again).
    context : Context or None
        Of all nodes; None for the default context.

    """

    def __init__(self, on_error: ErrorPolicy, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self._on_error = on_error
        self._lock = threading.Condition()  # held while anything below is changed
        self._served: dict[Subscription[Any], _Served] = {}
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._has_changed = False
        self._guard = GuardCondition(None, None, context=self._context)
        self._closed = False
        self._context.on_shutdown(lambda: self.wake())  # bound, it is lost before the context is

    def create_subscription(
        self,
        node: Node,
        kind: type[Any],
        topic: str,
        callback: Callable[[memoryview], Event | None],
        qos: QoSProfile,
        memory: PinnedPool | None = None,
    ) -> Subscription[Any]:
        """
        Subscribe to serialized messages.

        Parameters
        ----------
        node : Node
            Has the subscription, but no executor serves it, nor its events. Destroying the node
            ends it with the next message or change.
        kind : type
            Message type.
        topic : str
            As for `Node.create_subscription`.
        callback : callable
            Called with each message: read-only bytes, valid until it returns or, if it returns
            an event, until that has passed. Every callback delays the next one, of whatever
            subscription; those that have messages take turns.
        qos : QoSProfile
            As for `Node.create_subscription`.
        memory : PinnedPool or None
            Where messages are put; None for plain memory.

        Returns
        -------
        Subscription
            Given back with `destroy_subscription`.

        """
        made = node.create_subscription(
            kind, topic, cast('Any', callback), qos, callback_group=_NotForExecutors(), raw=True
        )
        pool = memory or PinnedPool()
        with self._lock:
            self._served[made] = _Served(node, MessageMemory(made, pool))
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name='ingress', daemon=True)
                self._thread.start()
        self.wake()
        return made

    def destroy_subscription(self, node: Node, subscription: Subscription[Any]) -> None:
        """
        Unsubscribe. Does not block; a callback that runs goes on to its end.

        Parameters
        ----------
        node : Node
            As given to `create_subscription`.
        subscription : Subscription
            Gone as soon as the thread does not use it; nothing happens if it is unknown.

        """
        with self._lock:
            self._served.pop(subscription, None)
        node.destroy_subscription(subscription)
        self.wake()

    def wake(self) -> None:
        """Make the thread look at what has changed; it ends if the context has ended."""
        with self._lock:
            if not self._closed:
                self._has_changed = True
                self._guard.trigger()

    def settle(self, timeout_sec: float) -> bool:
        """
        Wait until no callback of a subscription that was destroyed runs any more. Blocks.

        Parameters
        ----------
        timeout_sec : float
            Longest wait in seconds.

        Returns
        -------
        bool
            False if one still runs, as it does where one of them calls this.

        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return True
            return self._lock.wait_for(lambda: not self._has_changed, timeout_sec)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """
        Stop the thread after the callback that it is in. Blocks; may be called again.

        Parameters
        ----------
        timeout_sec : float or None
            Longest wait in seconds; None or negative waits without limit.

        Returns
        -------
        bool
            True when the thread has ended, or is the calling one.

        """
        with self._lock:
            self._stopped = True
            thread = self._thread
        self.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(None if timeout_sec is None or timeout_sec < 0 else timeout_sec)
            if thread.is_alive():
                return False
        self._close()
        return True

    def _close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._guard.destroy()

    def _goes_on(self) -> bool:
        return not self._stopped and self._context.ok()

    def _run(self) -> None:
        while self._goes_on():
            try:
                with suppress(InvalidHandle):  # destroyed since the wait set was built
                    self._read_until_changed()
            except Exception as error:
                if self._goes_on():
                    apply_policy(self._on_error, error, None, None)
                    time.sleep(_PAUSE_S)

    def _read_until_changed(self) -> None:
        with self._lock:
            self._has_changed = False
            self._lock.notify_all()
            served = dict(self._served)
        with closing(SubscriptionWait(self._context, served, self._guard)) as wait_set:
            while not self._has_changed:
                subscriptions, events = wait_set.wait()
                if not subscriptions and not events:  # a change
                    return
                for subscription in subscriptions:  # one message of each: they take turns
                    if subscription in self._served and not self._stopped:
                        self._take(subscription, served[subscription])
                for subscription, event in events:
                    self._call(event, event.take_data(), served[subscription].node)

    def _take(self, subscription: Subscription[Any], served: _Served) -> None:
        in_use = None
        try:
            in_use = self._call(subscription, served.memory.take(), served.node)
        finally:
            served.memory.release(in_use)

    def _call(self, entity: Any, argument: Any, node: Node) -> Event | None:
        """Hand what was taken, if anything, to the callback; return until when it is in use."""
        if argument is None:
            return None
        try:
            in_use: Event | None = entity.callback(argument)
        except BaseException as error:  # SystemExit and the like too
            apply_policy(self._on_error, error, entity, node)
            return None
        return in_use
