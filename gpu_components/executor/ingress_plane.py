# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The plane of nodes that must not wait: callbacks run inline on one thread of its own.

Who calls: `PlaneExecutor` starts and stops it; the nodes added to it see it as their executor.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.executors import TimeoutObject
from rclpy.task import Future

from gpu_components.executor.error_policy import ErrorPolicy
from gpu_components.executor.ready_task import next_ready_task
from gpu_components.executor.ready_task import ReadyTask


class IngressPlane(Executor):
    """
    Execute callbacks one after the other on a dedicated thread.

    Without a pool, because handing work to another thread costs tail latency. Images come in by
    `SubscriptionReader`, which costs a fraction.

    Parameters
    ----------
    run : callable
        Runs one ready task on the calling thread and does not raise.
    on_error : ErrorPolicy
        Hears of a wait that failed.
    context : Context or None
        None for the default context.

    """

    def __init__(
        self, run: Callable[[ReadyTask], None], on_error: ErrorPolicy, context: Context | None
    ) -> None:
        super().__init__(context=context)
        self._run_task = run
        self._on_error = on_error
        self._stop = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it has been started or there is no node to serve."""
        with self._start_lock:
            if self._thread is None and self.get_nodes() and not self._stop.is_set():
                self._thread = threading.Thread(target=self.spin, name='ingress', daemon=True)
                self._thread.start()

    def spin(self) -> None:
        """Execute callbacks until shutdown. Blocks."""
        while self.context.ok() and not self._stop.is_set():
            self.spin_once()

    def spin_once(self, timeout_sec: float | TimeoutObject | None = None) -> None:
        """
        Wait for one callback and execute it. Blocks.

        Parameters
        ----------
        timeout_sec : float, TimeoutObject or None
            Seconds; None or negative waits without limit.

        """
        ready = next_ready_task(self, timeout_sec, self._stop.is_set, self._on_error)
        if ready is not None:
            self._run_task(ready)

    def spin_once_until_future_complete(
        self, future: Future[Any], timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        """
        Do as `spin_once`; the dedicated thread is the only one that may.

        Parameters
        ----------
        future : Future
            Wakes the wait when done.
        timeout_sec : float, TimeoutObject or None
            Seconds; None or negative waits without limit.

        """
        future.add_done_callback(lambda _: self.wake())
        self.spin_once(timeout_sec)

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
        with self._start_lock:
            self._stop.set()
            thread = self._thread
        self.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(None if timeout_sec is None or timeout_sec < 0 else timeout_sec)
            if thread.is_alive():
                return False
        return super().shutdown(0)
