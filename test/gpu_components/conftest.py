# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with nodes: a ROS context, its nodes and an executor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from spinning import NodeFactory

from gpu_components.executor import PlaneExecutor


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def make_node(context: Context) -> Iterator[NodeFactory]:
    nodes: list[Node] = []

    def make(name: str) -> Node:
        nodes.append(Node(name, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def errors() -> list[tuple[BaseException, object | None, Node | None]]:
    return []


@pytest.fixture
def executor(
    context: Context, errors: list[tuple[BaseException, object | None, Node | None]]
) -> Iterator[PlaneExecutor]:
    executor = PlaneExecutor(
        context=context, on_error=lambda *args: errors.append((args[0], args[1], args[2]))
    )
    yield executor
    assert executor.shutdown(10.0)
