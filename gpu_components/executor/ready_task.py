# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
All that the executor needs of rclpy beyond its public face, in one place.

Read in rclpy of Humble, Jazzy, Kilted and rolling (01352d6); run with Kilted's. Up to Kilted a
task stays in the list `_tasks` until it is done, and is yielded again at every wake until then:
it is taken off here, once. Rolling has no such list, yields a task once, and resumes coroutines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import inspect
from math import inf
import time
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ConditionReachedException
from rclpy.executors import Executor
from rclpy.executors import ExternalShutdownException
from rclpy.executors import ShutdownException
from rclpy.executors import TimeoutException
from rclpy.executors import TimeoutObject
from rclpy.node import Node
from rclpy.task import Task

from gpu_components.executor.control_wait import ControlWait
from gpu_components.executor.error_policy import apply_policy
from gpu_components.executor.error_policy import ErrorPolicy

_PAUSE_S = 0.01  # after a failed wait, so that a lasting fault does not take a whole core
_NOTHING_TO_DO = (
    ConditionReachedException,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
    InvalidHandle,  # an entity was destroyed between being listed and being looked at
)


@dataclass(frozen=True)
class ReadyTask:
    """
    One callback to be run, and whose it is.

    Attributes
    ----------
    task : Task
        Runs, or resumes, the callback when called.
    entity : object or None
        The timer, service, ...; None for a task made with `create_task`.
    node : Node or None
        The node of the entity.
    detached : bool
        True when rclpy has forgotten the task, so that resuming it, should it await, is up to us.
    is_resumed : bool
        True when the task awaited before and is tried again.

    """

    task: Task[Any]
    entity: object | None
    node: Node | None
    detached: bool
    is_resumed: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether the callback has returned, raised or been cancelled."""
        return self.task.done() or self.task.cancelled()

    @property
    def is_parameter_service(self) -> bool:
        """Whether this serves parameters, which must answer while other callbacks are slow."""
        srv_type = getattr(self.entity, 'srv_type', None)
        return getattr(srv_type, '__module__', '').startswith('rcl_interfaces.')

    def abandon(self) -> None:
        """Cancel the task and let another executor wait for its entity."""
        coroutine = getattr(self.task, '_handler', None)
        if inspect.iscoroutine(coroutine):
            coroutine.close()  # releases its callback group; cancel() does so only since Kilted
        self.task.cancel()
        if hasattr(self.entity, '_executor_event'):
            self.entity._executor_event = False


@dataclass(frozen=True)
class _Round:
    """A condition; rclpy goes on with what it found before only while it gets an equal one."""

    number: int
    condition: Callable[[], bool]

    def __call__(self) -> bool:
        return self.condition()


class ReadyTasks:
    """
    Gives out the callbacks of an executor as they become ready, each once.

    Who calls: one thread at a time.

    Parameters
    ----------
    executor : Executor
        Whose nodes and tasks to wait for.
    on_error : ErrorPolicy
        Hears of a wait that failed for another reason than an entity or context going away.

    """

    def __init__(self, executor: Executor, on_error: ErrorPolicy) -> None:
        self._executor = executor
        self._on_error = on_error
        self._wait = ControlWait(executor)
        # Of the last wait, until they have no more; None where rclpy waits for all of them.
        self._nodes: list[Node] | None = []
        self._round = 0

    def next(
        self, timeout_sec: float | TimeoutObject | None, condition: Callable[[], bool]
    ) -> ReadyTask | None:
        """
        Wait for one callback to become ready. Blocks.

        Parameters
        ----------
        timeout_sec : float, TimeoutObject or None
            Seconds; None or negative waits without limit.
        condition : callable
            Ends the wait when true. Equal conditions in consecutive calls let rclpy hand out all
            that one wait found before it waits again.

        Returns
        -------
        ReadyTask or None
            None after a timeout, a shutdown, a failed wait, or when the condition is true.

        """
        try:
            return self._next(limit_s(timeout_sec), condition)
        except _NOTHING_TO_DO:
            return None
        except Exception as error:
            if self._executor.context.ok():
                apply_policy(self._on_error, error, None, None)
                time.sleep(_PAUSE_S)
            return None

    def close(self) -> None:
        """Let go of what is waited for."""
        self._wait.close()
        self._nodes = []

    def _next(self, longest_s: float, condition: Callable[[], bool]) -> ReadyTask | None:
        deadline_s = time.monotonic() + longest_s
        ready = self._found(condition)
        left_s = longest_s
        while ready is None and left_s >= 0 and not condition() and self._executor.context.ok():
            self._nodes = self._wait.wait(-1 if left_s == inf else int(left_s * 1e9))
            if self._nodes is None:
                return self._taken(None if left_s == inf else left_s, None, condition)
            self._round += 1
            ready = self._found(condition)
            left_s = inf if longest_s == inf else deadline_s - time.monotonic()
        return ready

    def _found(self, condition: Callable[[], bool]) -> ReadyTask | None:
        """Return the next of what the last wait found."""
        nodes = self._nodes
        if nodes is None:  # a new wait would lose what rclpy's own has found and not given out
            return None
        if _has_tasks(self._executor):
            nodes, self._round = None, self._round + 1
        if nodes == []:
            return None
        try:
            return self._taken(0, nodes, _Round(self._round, condition))
        except _NOTHING_TO_DO:
            self._nodes = []
            return None

    def _taken(
        self, timeout_s: float | None, nodes: list[Node] | None, condition: Callable[[], bool]
    ) -> ReadyTask:
        task, entity, node = self._executor.wait_for_ready_callbacks(timeout_s, nodes, condition)
        return ReadyTask(task, entity, node, _detach(self._executor, task))


def limit_s(timeout_sec: float | TimeoutObject | None) -> float:
    """
    Return a timeout as rclpy has them in seconds.

    Parameters
    ----------
    timeout_sec : float, TimeoutObject or None
        None or negative is without limit.

    Returns
    -------
    float
        Infinite without limit.

    """
    seconds = timeout_sec.timeout if isinstance(timeout_sec, TimeoutObject) else timeout_sec
    return inf if seconds is None or seconds < 0 else float(seconds)


def _has_tasks(executor: Executor) -> bool:
    """Return whether there is something to run that no wait would find."""
    return bool(getattr(executor, '_tasks', None) or getattr(executor, '_ready_tasks', None))


def _detach(executor: Executor, task: Task[Any]) -> bool:
    tasks = getattr(executor, '_tasks', None)
    if tasks is None:
        return False
    with executor._tasks_lock:
        executor._tasks = [item for item in executor._tasks if item[0] is not task]
    return True
