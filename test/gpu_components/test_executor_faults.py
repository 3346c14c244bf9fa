# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The plane executor lives through changes and faults while it spins."""

from __future__ import annotations

import time

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until

from gpu_components.executor import log_and_continue
from gpu_components.executor import PlaneExecutor
from gpu_components.executor.error_policy import apply_policy


def test_entities_come_and_go_while_spinning(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    node = make_node('changing')
    ticks: list[int] = []
    with spinning(executor):
        executor.add_node(node)
        time.sleep(0.2)
        timer = node.create_timer(0.01, lambda: ticks.append(1))
        assert wait_until(lambda: len(ticks) >= 3, 1.0)
        node.destroy_timer(timer)
        time.sleep(0.1)
        before = len(ticks)
        time.sleep(0.2)
        assert len(ticks) == before


def test_a_node_that_was_removed_is_served_no_more(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    node = make_node('leaving')
    ticks: list[int] = []
    node.create_timer(0.01, lambda: ticks.append(1))
    executor.add_node(node)
    with spinning(executor):
        assert wait_until(lambda: len(ticks) >= 3)
        executor.remove_node(node)
        time.sleep(0.1)
        before = len(ticks)
        time.sleep(0.2)
        assert len(ticks) == before


def test_nodes_destroyed_under_load_do_not_break_the_loop(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory
) -> None:
    survivor = make_node('survivor')
    ticks: list[int] = []
    survivor.create_timer(0.01, lambda: ticks.append(1))
    with spinning(executor):
        executor.add_node(survivor)
        for index in range(15):
            node = Node(f'doomed_{index}', context=context)
            for _ in range(4):
                node.create_timer(0.001, lambda: None, callback_group=ReentrantCallbackGroup())
            executor.add_node(node)
            time.sleep(0.02)
            if index % 2:
                executor.remove_node(node)
            node.destroy_node()
        before = len(ticks)
        assert wait_until(lambda: len(ticks) >= before + 5)


@pytest.mark.parametrize('kind', [ValueError, SystemExit])
def test_exception_goes_to_the_policy_and_the_loop_lives(
    executor: PlaneExecutor,
    make_node: NodeFactory,
    errors: list[tuple[BaseException, object | None, Node | None]],
    kind: type[BaseException],
) -> None:
    node = make_node('faulty')
    ticks: list[int] = []

    def fail() -> None:
        raise kind('on purpose')

    faulty = node.create_timer(0.02, fail)
    node.create_timer(0.02, lambda: ticks.append(1))
    executor.add_node(node)
    with spinning(executor) as thread:
        assert wait_until(lambda: len(errors) >= 3)
        before = len(ticks)
        assert wait_until(lambda: len(ticks) > before + 3)
        assert thread.is_alive()
    error, entity, owner = errors[0]
    assert isinstance(error, kind)
    assert entity is faulty
    assert owner is node


def test_failed_task_keeps_its_exception_and_reports_it(
    executor: PlaneExecutor, errors: list[tuple[BaseException, object | None, Node | None]]
) -> None:
    async def fail() -> None:
        await executor.create_task(int)
        raise ValueError('later')

    with spinning(executor):
        task = executor.create_task(fail)
        assert wait_until(task.done)
        assert wait_until(lambda: len(errors) == 1)
    assert isinstance(task.exception(), ValueError)
    assert errors[0][1:] == (None, None)


def test_policy_that_raises_does_not_kill_the_loop(
    context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    def policy(exception: BaseException, entity: object | None, node: Node | None) -> None:
        raise RuntimeError('policy broke')

    executor = PlaneExecutor(context=context, on_error=policy)
    with spinning(executor):
        executor.create_task(lambda: 1 / 0)
        good = executor.create_task(lambda: 'alive')
        assert wait_until(good.done)
        time.sleep(0.1)
    err = capfd.readouterr().err
    assert 'policy broke' in err
    assert 'ZeroDivisionError' in err


def test_default_policy_logs_name_and_traceback(
    context: Context, make_node: NodeFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node('noisy')
    executor = PlaneExecutor(context=context)

    def explode() -> None:
        raise ValueError('seen in the log')

    node.create_timer(0.01, explode)
    executor.add_node(node)
    with spinning(executor):
        time.sleep(0.3)
    err = capfd.readouterr().err
    assert '[noisy]' in err
    assert "callback of timer raised ValueError('seen in the log')" in err
    assert 'in explode' in err


def test_default_policy_logs_of_what_its_callback_destroyed(
    make_node: NodeFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is destroyed does not tell its topic any more; rclpy raises instead."""
    node = make_node('leaving')
    subscription = node.create_subscription(Image, 'image', lambda _: None, 1)
    node.destroy_subscription(subscription)
    apply_policy(log_and_continue, ValueError('after the end'), subscription, node)
    err = capfd.readouterr().err
    assert '[leaving]' in err
    assert "callback of subscription raised ValueError('after the end')" in err
