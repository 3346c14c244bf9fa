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


def next_ready_task(
    executor: Executor,
    timeout_sec: float | TimeoutObject | None,
    condition: Callable[[], bool],
    on_error: ErrorPolicy,
) -> ReadyTask | None:
    """
    Wait for one callback to become ready; each is given out once.

    Blocks. One thread at a time may wait on one executor.

    Parameters
    ----------
    executor : Executor
        Whose nodes and tasks to wait for.
    timeout_sec : float, TimeoutObject or None
        Seconds; None or negative waits without limit.
    condition : callable
        Ends the wait when true. Equal conditions in consecutive calls let rclpy hand out all that
        one wait found before it waits again.
    on_error : ErrorPolicy
        Hears of a wait that failed for another reason than an entity or context going away.

    Returns
    -------
    ReadyTask or None
        None after a timeout, a shutdown, a failed wait, or when the condition is true.

    """
    try:
        task, entity, node = executor.wait_for_ready_callbacks(timeout_sec, None, condition)
    except _NOTHING_TO_DO:
        return None
    except Exception as error:
        if executor.context.ok():
            apply_policy(on_error, error, None, None)
            time.sleep(_PAUSE_S)
        return None
    return ReadyTask(task, entity, node, _detach(executor, task))


def _detach(executor: Executor, task: Task[Any]) -> bool:
    tasks = getattr(executor, '_tasks', None)
    if tasks is None:
        return False
    with executor._tasks_lock:
        executor._tasks = [item for item in executor._tasks if item[0] is not task]
    return True
