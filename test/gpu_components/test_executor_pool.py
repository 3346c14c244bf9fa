# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The worker pool of the plane executor."""

from __future__ import annotations

import threading

import pytest
from rclpy.context import Context
from spinning import wait_until

from gpu_components.executor import PlaneExecutor
from gpu_components.executor.worker_pool import WorkerPool
from gpu_runtime.errors import ParameterError


def test_pool_keeps_a_thread_for_urgent_work() -> None:
    release = threading.Event()
    done: list[str] = []

    def run(work: str) -> None:
        if work == 'slow':
            release.wait(5.0)
        done.append(work)

    pool = WorkerPool(2, 'pool', run)
    for work in ('slow', 'slow', 'quick'):
        assert pool.submit(work)
    assert pool.submit('urgent', urgent=True)
    assert wait_until(lambda: done == ['urgent'])
    assert pool.close() == ['quick']
    assert not pool.submit('late')
    assert not pool.join(0.05)
    release.set()
    assert pool.join(2.0)
    assert done == ['urgent', 'slow', 'slow']


def test_pool_without_threads_is_refused(context: Context) -> None:
    with pytest.raises(ParameterError, match='expected at least 1, got 0'):
        PlaneExecutor(control_threads=0, context=context)
