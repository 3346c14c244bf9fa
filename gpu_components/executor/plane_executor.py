# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
An executor whose planes do not wait for each other: control on a few threads, a reader on its own.

Who calls: the container's main thread spins; any thread adds nodes, makes tasks or shuts down.
Callbacks run on worker threads, those of messages that the reader takes on its thread, none on the
spinning thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
import threading
import time
from typing import Any

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.executors import TimeoutObject
from rclpy.task import Future

from gpu_components.executor.error_policy import apply_policy
from gpu_components.executor.error_policy import ErrorPolicy
from gpu_components.executor.error_policy import log_and_continue
from gpu_components.executor.parked_tasks import ParkedTasks
from gpu_components.executor.ready_task import limit_s
from gpu_components.executor.ready_task import ReadyTask
from gpu_components.executor.ready_task import ReadyTasks
from gpu_components.executor.subscription_reader import SubscriptionReader
from gpu_components.executor.worker_pool import WorkerPool

_TURN_S = 0.01  # how late a second thread that spins may notice what the first one did


@dataclass(frozen=True)
class _StopCondition:
    """Compares equal between calls, so that rclpy goes on with what its last wait found."""

    stop: threading.Event
    future: Future[Any] | None = None

    def __call__(self) -> bool:
        return self.stop.is_set() or (self.future is not None and self.future.done())


class PlaneExecutor(Executor):
    """
    Execute callbacks on a thread pool, and read serialized topics on a thread beside it.

    Takes the place of any `rclpy.executors.Executor`, with these differences: each ready callback
    is dispatched once; an exception in a callback goes to `on_error` instead of out of `spin`; an
    awaiting coroutine costs no busy loop; parameter services have a thread in reserve. Callback
    groups hold as ever, so a node's own slow callback delays what shares its group.

    Parameters
    ----------
    control_threads : int
        Callbacks that may run side by side, parameter services and the reader not counted.
    context : Context or None
        None for the default context.
    on_error : ErrorPolicy
        Called on the callback's thread with each exception that a callback or task lets out, the
        reader's callbacks included.

    Attributes
    ----------
    reader : SubscriptionReader
        Reads what is subscribed through it, whether or not the executor is spun.

    Raises
    ------
    ParameterError
        If `control_threads` is less than 1.

    """

    def __init__(
        self,
        *,
        control_threads: int = 4,
        context: Context | None = None,
        on_error: ErrorPolicy = log_and_continue,
    ) -> None:
        super().__init__(context=context)
        self._pool = WorkerPool(control_threads, 'control', self._run)
        self._on_error = on_error
        self._stop = threading.Event()
        self._wait_lock = threading.RLock()  # held by who waits for what is ready
        self._parked = ParkedTasks(self._submit)
        self._ready = ReadyTasks(self, on_error)
        self.reader = SubscriptionReader(on_error, context)

    def spin(self) -> None:
        """Dispatch callbacks until shutdown of the executor or its context, or SIGINT. Blocks."""
        try:
            while self.context.ok() and not self._stop.is_set():
                self.spin_once()
        except KeyboardInterrupt:
            pass  # rclpy's signal handler is shutting the context down, which ends spin anyway
        self.reader.wake()  # the handler wakes rclpy's own waits only

    def spin_once(self, timeout_sec: float | TimeoutObject | None = None) -> None:
        """
        Wait for one callback and dispatch it, without waiting for its end. Blocks.

        Parameters
        ----------
        timeout_sec : float, TimeoutObject or None
            Seconds; None or negative waits without limit.

        """
        self._dispatch_next(timeout_sec, _StopCondition(self._stop))

    def spin_once_until_future_complete(
        self, future: Future[Any], timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        """
        Do as `spin_once`, but return when the future is done. Blocks.

        Parameters
        ----------
        future : Future
            Wakes the wait when done.
        timeout_sec : float, TimeoutObject or None
            Seconds; None or negative waits without limit.

        """
        future.add_done_callback(lambda _: self.wake())
        self._spin_once_until_future_complete(future, timeout_sec)

    def _spin_once_until_future_complete(
        self, future: Future[Any], timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        self._dispatch_next(timeout_sec, _StopCondition(self._stop, future))

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """
        Stop workers and reader: start no callback any more, wait for those that run, join threads.

        Blocks. May be called from any thread, a callback included, and again. What has not started
        is dropped, a coroutine that awaits is cancelled.

        Parameters
        ----------
        timeout_sec : float or None
            Longest wait in seconds; None or negative waits without limit.

        Returns
        -------
        bool
            True when all callbacks have ended, apart from the calling one.

        """
        deadline = time.monotonic() + limit_s(timeout_sec)

        def left_s() -> float | None:
            return None if deadline == inf else max(0.0, deadline - time.monotonic())

        self._stop.set()
        self.wake()
        reader_ended = self.reader.shutdown(left_s())
        lock_wait_s = left_s()
        has_lock = self._wait_lock.acquire(timeout=-1 if lock_wait_s is None else lock_wait_s)
        try:
            for ready in self._pool.close():
                ready.abandon()
            self._parked.stop()
            if has_lock:
                self._ready.close()
            workers_ended = self._pool.join(left_s())
            return super().shutdown(0) and has_lock and reader_ended and workers_ended
        finally:
            if has_lock:
                self._wait_lock.release()

    def _dispatch_next(
        self, timeout_sec: float | TimeoutObject | None, condition: _StopCondition
    ) -> None:
        if not self._take_turn(timeout_sec, condition):
            return
        try:
            ready = self._ready.next(timeout_sec, condition)
        finally:
            self._wait_lock.release()
        if ready is not None:
            self._submit(ready)

    def _take_turn(
        self, timeout_sec: float | TimeoutObject | None, condition: _StopCondition
    ) -> bool:
        """Wait for the lock, unless the thread that spins already has done what was wanted."""
        longest_s = limit_s(timeout_sec)
        deadline = time.monotonic() + longest_s
        while not self._wait_lock.acquire(timeout=min(longest_s, _TURN_S)):
            if condition() or not self.context.ok() or time.monotonic() >= deadline:
                return False
        return True

    def _submit(self, ready: ReadyTask) -> None:
        if not self._pool.submit(ready, urgent=ready.is_parameter_service):
            ready.abandon()

    def _run(self, ready: ReadyTask) -> None:
        """Run or resume a task on the calling thread; never raises."""
        try:
            ready.task()
        except BaseException as exception:  # SystemExit and the like, which a task lets through
            ready.task.cancel()
            self._report(exception, ready)
        if ready.is_finished:
            self._report_failure(ready)
            self._parked.nudge()
        elif ready.detached:
            self._parked.park(ready)
        else:
            ready.task.add_done_callback(lambda _: self._report_failure(ready))

    def _report_failure(self, ready: ReadyTask) -> None:
        exception = None if ready.task.cancelled() else ready.task.exception()
        if exception is not None:
            self._report(exception, ready)

    def _report(self, exception: BaseException, ready: ReadyTask) -> None:
        if self._stop.is_set() and isinstance(exception, InvalidHandle):
            return  # older rclpy triggers its destroyed guard at the end of a callback
        apply_policy(self._on_error, exception, ready.entity, ready.node)
