# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The plane executor does what the stock executors document, and what they fail to do."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.executors import Executor
from rclpy.task import Future
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until
from std_srvs.srv import Trigger

from gpu_components.executor import PlaneExecutor


def test_runs_a_function_as_a_task(any_executor: Executor) -> None:
    task = any_executor.create_task(lambda a, b: a + b, 1, b=2)
    any_executor.spin_until_future_complete(task, 2.0)
    assert task.done()
    assert task.result() == 3


def test_runs_done_callbacks(any_executor: Executor) -> None:
    seen: Future[Any] = Future()
    task = any_executor.create_task(lambda: 'done')
    task.add_done_callback(lambda done: seen.set_result(done.result()))
    any_executor.spin_until_future_complete(seen, 2.0)
    assert seen.result() == 'done'


def test_future_timeout_is_kept(any_executor: Executor) -> None:
    began = time.monotonic()
    any_executor.spin_until_future_complete(Future(), 0.2)
    assert 0.15 < time.monotonic() - began < 1.0


def test_future_done_from_another_thread_ends_the_spin(any_executor: Executor) -> None:
    future: Future[Any] = Future()
    threading.Timer(0.1, future.set_result, ['late']).start()
    began = time.monotonic()
    any_executor.spin_until_future_complete(future, 5.0)
    assert future.result() == 'late'
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize('timeout_s', [0.0, 0.1])
def test_spin_once_without_work_returns(any_executor: Executor, timeout_s: float) -> None:
    began = time.monotonic()
    any_executor.spin_once(timeout_s)
    assert timeout_s * 0.8 <= time.monotonic() - began < timeout_s + 2.0


def test_adds_and_removes_nodes(any_executor: Executor, make_node: NodeFactory) -> None:
    node = make_node('member')
    assert any_executor.add_node(node)
    assert not any_executor.add_node(node)
    assert any_executor.get_nodes() == [node]
    assert node.executor is any_executor
    any_executor.remove_node(node)
    assert any_executor.get_nodes() == []


def test_spin_once_serves_timers(any_executor: Executor, make_node: NodeFactory) -> None:
    node = make_node('ticking')
    ticks: list[int] = []
    node.create_timer(0.02, lambda: ticks.append(1))
    any_executor.add_node(node)
    end = time.monotonic() + 5.0
    while len(ticks) < 3 and time.monotonic() < end:
        any_executor.spin_once(0.1)
    assert len(ticks) >= 3


def test_async_service_awaits_a_client(any_executor: Executor, make_node: NodeFactory) -> None:
    """A service whose callback calls another service: answered only if coroutines resume."""
    node, caller = make_node('middle'), make_node('caller')
    backend: Client[Any, Any] = node.create_client(
        Trigger, 'backend', callback_group=MutuallyExclusiveCallbackGroup()
    )

    async def forward(request: Trigger.Request, _: Trigger.Response) -> Trigger.Response:
        return await backend.call_async(request)

    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = 'from behind'
        return response

    node.create_service(Trigger, 'front', forward)
    caller.create_service(Trigger, 'backend', answer)
    client: Client[Any, Any] = caller.create_client(Trigger, 'front')
    any_executor.add_node(node)
    any_executor.add_node(caller)
    assert client.wait_for_service(5.0)
    assert backend.wait_for_service(5.0)
    future = client.call_async(Trigger.Request())
    any_executor.spin_until_future_complete(future, 5.0)
    assert future.done()
    response = future.result()
    assert response is not None
    assert response.message == 'from behind'


def test_shuts_down_twice(any_executor: Executor) -> None:
    any_executor.create_task(int)
    any_executor.spin_once(0.1)
    assert any_executor.shutdown()
    assert any_executor.shutdown()


def test_coroutine_awaits_another_task(executor: PlaneExecutor) -> None:
    """The stock executors of Kilted stall here until something else wakes them."""

    async def outer() -> int:
        inner = executor.create_task(lambda: 20)
        return (await inner or 0) + 1

    task = executor.create_task(outer)
    executor.spin_until_future_complete(task, 2.0)
    assert task.result() == 21


def test_each_task_runs_once_however_busy_the_pool(executor: PlaneExecutor) -> None:
    counts = [0] * 200

    def work(index: int) -> None:
        counts[index] += 1
        time.sleep(0.001)

    with spinning(executor):
        tasks = [executor.create_task(work, index) for index in range(200)]
        assert wait_until(lambda: all(task.done() for task in tasks))
    assert counts == [1] * 200


def test_waiting_in_line_costs_no_cpu(executor: PlaneExecutor) -> None:
    """The stock pool submits a waiting task over and over; here the loop must sleep."""
    release = threading.Event()
    with spinning(executor):
        tasks = [executor.create_task(release.wait) for _ in range(20)]
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1.0)
        used = time.process_time() - before
        release.set()
        assert wait_until(lambda: all(task.done() for task in tasks))
    assert used < 0.05


def test_awaiting_costs_no_busy_loop(executor: PlaneExecutor) -> None:
    future: Future[Any] = Future()

    async def wait() -> object:
        return await future

    with spinning(executor):
        task = executor.create_task(wait)
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(1.0)
        used = time.process_time() - before
        future.set_result('woken')
        assert wait_until(task.done)
    assert task.result() == 'woken'
    assert used < 0.05


def test_exclusive_group_is_respected_and_reentrant_group_is_parallel(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    node = make_node('groups')
    most = {'exclusive': 0, 'reentrant': 0}
    now = {'exclusive': 0, 'reentrant': 0}
    lock = threading.Lock()

    def callback(kind: str) -> None:
        with lock:
            now[kind] += 1
            most[kind] = max(most[kind], now[kind])
        time.sleep(0.03)
        with lock:
            now[kind] -= 1

    exclusive, reentrant = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
    for _ in range(3):
        node.create_timer(0.01, lambda: callback('exclusive'), callback_group=exclusive)
        node.create_timer(0.01, lambda: callback('reentrant'), callback_group=reentrant)
    executor.add_node(node)
    with spinning(executor):
        time.sleep(1.0)
    assert most['exclusive'] == 1
    assert 2 <= most['reentrant'] <= 4


def test_callback_may_spin_until_a_future_is_complete(executor: PlaneExecutor) -> None:
    """Blocking in a callback is common in ROS code; the thread that spins does the work."""
    late: Future[Any] = Future()

    def block() -> tuple[object, float]:
        began = time.monotonic()
        executor.spin_until_future_complete(Future(), 0.2)
        waited_s = time.monotonic() - began
        executor.spin_until_future_complete(late)
        return late.result(), waited_s

    with spinning(executor):
        task = executor.create_task(block)
        time.sleep(1.5)
        late.set_result('arrived')
        assert wait_until(task.done)
    result = task.result()
    assert result is not None
    assert result[0] == 'arrived'
    assert 0.15 < result[1] < 1.2


def test_timers_keep_their_rate(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    ticks: list[float] = []
    node = make_node('rate')
    node.create_timer(0.02, lambda: ticks.append(time.monotonic()))
    executor.add_node(node)
    with spinning(executor):
        time.sleep(2.0)
    assert len(ticks) <= 101
    assert abs(float(np.median(np.diff(ticks))) - 0.02) < 0.004
