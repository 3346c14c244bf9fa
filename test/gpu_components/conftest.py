# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with nodes: a ROS context, its nodes, executors and components."""

from __future__ import annotations

from collections.abc import Iterator

from participants import none_is_left
from probe import Host
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.executors import MultiThreadedExecutor
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from spinning import NodeFactory
from spinning import spinning

from gpu_components.executor import PlaneExecutor
from gpu_components.executor import SubscriptionReader


@pytest.fixture(autouse=True)
def ends_without_participants() -> Iterator[None]:
    """Fail each test, not only its module: every one has a context of its own."""
    with none_is_left():
        yield


@pytest.fixture
def context() -> Iterator[Context]:
    """Initialise ROS."""
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def make_node(context: Context) -> Iterator[NodeFactory]:
    """Return a function that makes nodes of the context."""
    nodes: list[Node] = []

    def make(name: str) -> Node:
        nodes.append(Node(name, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def errors() -> list[tuple[BaseException, object | None, Node | None]]:
    """Return the list that :func:`executor` and :func:`reader` report their errors to."""
    return []


@pytest.fixture(
    params=[SingleThreadedExecutor, MultiThreadedExecutor, PlaneExecutor],
    ids=lambda kind: kind.__name__,
)
def any_executor(request: pytest.FixtureRequest, context: Context) -> Iterator[Executor]:
    """Make an executor, stock ones and ours: what holds for those has to hold for this."""
    executor: Executor = request.param(context=context)
    yield executor
    executor.shutdown()


@pytest.fixture
def executor(
    context: Context, errors: list[tuple[BaseException, object | None, Node | None]]
) -> Iterator[PlaneExecutor]:
    """Make a plane executor that has ended when the test has."""
    executor = PlaneExecutor(
        context=context, on_error=lambda *args: errors.append((args[0], args[1], args[2]))
    )
    yield executor
    assert executor.shutdown(10.0)


@pytest.fixture
def reader(
    context: Context, errors: list[tuple[BaseException, object | None, Node | None]]
) -> Iterator[SubscriptionReader]:
    """Make a reader that has ended when the test has."""
    reader = SubscriptionReader(lambda *args: errors.append((args[0], args[1], args[2])), context)
    yield reader
    assert reader.shutdown(10.0)


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """Make the node that subscribes through :func:`reader`."""
    return make_node('ingress')


@pytest.fixture
def host(context: Context) -> Iterator[Host]:
    """Make a host of components on the CPU; everything it lends has to come back."""
    host = Host(context)
    yield host
    assert host.close() == []


@pytest.fixture
def spun(context: Context) -> Iterator[SingleThreadedExecutor]:
    """Make an executor that a thread spins."""
    executor = SingleThreadedExecutor(context=context)
    with spinning(executor):
        yield executor
