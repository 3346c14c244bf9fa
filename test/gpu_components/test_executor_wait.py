# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the executor waits for: built once, again when nodes change, and nothing is missed."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.timer import Timer
from rclpy.waitable import NumberOfEntities
from rclpy.waitable import Waitable
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until

from gpu_components.executor import control_wait
from gpu_components.executor import PlaneExecutor


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry per wait set that the control plane builds."""
    found: list[int] = []

    class Counted(control_wait._WaitSet):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.append(1)

    monkeypatch.setattr(control_wait, '_WaitSet', Counted)
    return found


def test_a_wait_set_serves_until_something_changes(
    executor: PlaneExecutor, make_node: NodeFactory, built: list[int]
) -> None:
    nodes = [make_node(f'n{number}') for number in range(4)]
    for node in nodes:
        executor.add_node(node)
    ticks: list[int] = []
    nodes[0].create_timer(0.005, lambda: ticks.append(0))
    with spinning(executor):
        assert wait_until(lambda: len(ticks) >= 5)
        before = len(built)
        assert wait_until(lambda: len(ticks) >= 45)
        assert len(built) == before
        other = nodes[1].create_timer(0.005, lambda: ticks.append(1))
        assert wait_until(lambda: 1 in ticks)
        assert len(built) == before + 1
        nodes[1].destroy_timer(other)
        assert wait_until(lambda: len(built) == before + 2)


def test_rclpy_looks_through_nodes_that_have_something(
    context: Context, make_node: NodeFactory
) -> None:
    asked: list[list[Node]] = []

    class Watched(PlaneExecutor):
        def wait_for_ready_callbacks(self, *arguments: Any, **named: Any) -> Any:
            asked.append(arguments[1])
            return super().wait_for_ready_callbacks(*arguments, **named)

    executor = Watched(context=context)
    nodes = [make_node(f'n{number}') for number in range(4)]
    for node in nodes:
        executor.add_node(node)
    ticks: list[int] = []
    nodes[2].create_timer(0.01, lambda: ticks.append(0))
    with spinning(executor):
        assert wait_until(lambda: len(ticks) >= 10)
    assert asked
    assert all(looked_through == [nodes[2]] for looked_through in asked)


def test_what_is_destroyed_goes_with_the_next_wait(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    node = make_node('n')
    executor.add_node(node)
    timer = node.create_timer(100.0, lambda: None)
    executor.spin_once(0.0)
    node.destroy_timer(timer)
    executor.spin_once(0.0)
    with pytest.raises(InvalidHandle), timer.handle:
        pass


def test_a_guard_condition_runs_once_its_group_is_free(
    any_executor: Executor, make_node: NodeFactory
) -> None:
    node = make_node('n')
    any_executor.add_node(node)
    group = MutuallyExclusiveCallbackGroup()
    inside, leave, called = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        timer.cancel()
        inside.set()
        leave.wait(10.0)

    guard = node.create_guard_condition(called.set, group)
    timer = node.create_timer(0.001, hold, group)
    with spinning(any_executor):
        assert inside.wait(5.0)
        guard.trigger()
        assert not called.wait(0.2)
        leave.set()
        assert called.wait(5.0)
        called.clear()
        guard.trigger()
        assert called.wait(5.0)
        called.clear()
        assert not called.wait(0.2), 'it was triggered once and ran again'


class _Alone(Waitable[bool]):
    """Waits for something that no node knows."""

    def __init__(self, node: Node, waited_for: GuardCondition | Timer) -> None:
        super().__init__(ReentrantCallbackGroup())
        self.handle = waited_for.handle
        node.add_waitable(self)

    def __enter__(self) -> None:
        self.handle.__enter__()

    def __exit__(self, *error: object) -> None:
        self.handle.__exit__(*error)


class _Bell(_Alone):
    """Of a guard condition of its own."""

    def __init__(self, node: Node, context: Context) -> None:
        self.guard = GuardCondition(None, None, context=context)
        self.heard = threading.Event()
        self._ready = False
        super().__init__(node, self.guard)

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities(num_gcs=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        self._index = wait_set.add_guard_condition(self.handle)

    def is_ready(self, wait_set: Any) -> bool:
        self._ready = self._ready or wait_set.is_ready('guard_condition', self._index)
        return self._ready

    def take_data(self) -> bool:
        ready, self._ready = self._ready, False
        return ready

    async def execute(self, taken_data: bool) -> None:
        if taken_data:
            self.heard.set()


class _Metronome(_Alone):
    """Of a timer of its own, as actions are of services."""

    def __init__(self, node: Node, context: Context) -> None:
        self.timer = Timer(None, None, 10_000_000, node.get_clock(), context=context)
        self.ticks = 0
        super().__init__(node, self.timer)

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities(num_timers=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        self._index = wait_set.add_timer(self.handle)

    def is_ready(self, wait_set: Any) -> bool:
        return bool(wait_set.is_ready('timer', self._index))

    def take_data(self) -> bool:
        self.handle.call_timer()
        return True

    async def execute(self, taken_data: bool) -> None:
        self.ticks += taken_data


def test_a_waitable_may_wait_for_what_its_node_does_not_know(
    any_executor: Executor, context: Context, make_node: NodeFactory
) -> None:
    node = make_node('n')
    any_executor.add_node(node)
    metronome = _Metronome(node, context)
    began_s = time.monotonic()
    with spinning(any_executor):
        assert wait_until(lambda: metronome.ticks >= 20)
    assert 0.15 < time.monotonic() - began_s < 2.0
    metronome.timer.destroy()


def test_a_waitable_with_a_guard_condition_is_heard(
    any_executor: Executor, context: Context, make_node: NodeFactory
) -> None:
    node = make_node('n')
    any_executor.add_node(node)
    bell = _Bell(node, context)
    ticks: list[int] = []
    node.create_timer(0.005, lambda: ticks.append(0))
    with spinning(any_executor):
        for _ in range(5):
            bell.guard.trigger()
            assert bell.heard.wait(5.0)
            bell.heard.clear()
        seen = len(ticks)
        assert wait_until(lambda: len(ticks) > seen + 2)
        node.remove_waitable(bell)
        seen = len(ticks)
        assert wait_until(lambda: len(ticks) > seen + 2)
    bell.guard.destroy()


def test_a_task_costs_no_other_waitable_its_turn(
    any_executor: Executor, context: Context, make_node: NodeFactory
) -> None:
    """Both are found by one wait, which has reset what they wait for."""
    node = make_node('n')
    any_executor.add_node(node)
    bells = [_Bell(node, context) for _ in range(2)]
    any_executor.spin_once(0.0)
    for bell in bells:
        bell.guard.trigger()
    any_executor.spin_once(0.2)
    task = any_executor.create_task(lambda: 'done')
    for _ in range(8):
        any_executor.spin_once(0.2)
    assert wait_until(task.done)
    assert all(bell.heard.wait(1.0) for bell in bells)
    for bell in bells:
        bell.guard.destroy()
