# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A load request means to a node here what it means to one in the C++ container."""

from __future__ import annotations

from typing import Any

from composition_interfaces.srv import LoadNode
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from gpu_components.load_request import NODE_ARGUMENTS
from gpu_components.load_request import node_options
from gpu_components.load_request import WITHOUT_EFFECT
from gpu_runtime.errors import ParameterError


def request(*, extra: dict[str, Any] | None = None, **fields: Any) -> LoadNode.Request:
    """Return a request; ``extra`` are its extra arguments."""
    message = LoadNode.Request(**fields)
    items = (extra or {}).items()
    message.extra_arguments = [Parameter(k, value=v).to_parameter_msg() for k, v in items]
    return message


def made(context: Context, message: LoadNode.Request) -> Node:
    """Return the node that a request describes, whose class calls it ``default_name``."""
    return Node('default_name', context=context, **node_options(message))


def test_an_empty_request_changes_nothing(context: Context) -> None:
    """The class names the node, in the root namespace."""
    node = made(context, request())
    assert node.get_fully_qualified_name() == '/default_name'
    node.destroy_node()


def test_name_namespace_and_remappings(context: Context) -> None:
    """Remappings apply to topics, not to the name."""
    message = request(
        node_name='eye',
        node_namespace='/left/front',
        remap_rules=['image:=/camera/rgb', 'info:=details'],
    )
    node = made(context, message)
    assert node.get_fully_qualified_name() == '/left/front/eye'
    assert node.resolve_topic_name('image') == '/camera/rgb'
    assert node.resolve_topic_name('info') == '/left/front/details'
    node.destroy_node()


def test_parameters_become_overrides(context: Context) -> None:
    """With their types."""
    values: dict[str, Any] = {'rate': 2.5, 'depth': 3, 'names': ['a', 'b'], 'on': True}
    message = request(
        parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
    )
    node = made(context, message)
    defaults: dict[str, Any] = {'rate': 0.0, 'depth': 0, 'names': [''], 'on': False}
    assert {k: node.declare_parameter(k, v).value for k, v in defaults.items()} == values
    node.destroy_node()


def test_global_arguments_are_for_the_container() -> None:
    """A component takes them only if the request says so: else all would have one name."""
    context = Context()
    rclpy.init(context=context, args=['--ros-args', '-r', '__node:=everyone'])
    node = made(context, request(node_name='eye'))
    forwarded = made(context, request(extra={'forward_global_arguments': True}))
    assert (node.get_name(), forwarded.get_name()) == ('eye', 'everyone')
    node.destroy_node()
    forwarded.destroy_node()
    context.try_shutdown()


def test_extra_arguments_by_their_rclcpp_names() -> None:
    """Each reaches the node as the keyword that rclpy has for it."""
    for name, keyword in NODE_ARGUMENTS.items():
        for value in (True, False):
            assert node_options(request(extra={name: value}))[keyword] is value


def test_extra_arguments_work(context: Context) -> None:
    """A node without parameter services has none."""
    node = made(context, request(extra={'start_parameter_services': False}))
    assert [s for s in node.services if 'param' in s.srv_name] == []
    node.destroy_node()


def test_arguments_without_effect_are_accepted() -> None:
    """What rclcpp knows is no error, whatever its value."""
    plain = node_options(request())
    for name in WITHOUT_EFFECT:
        assert node_options(request(extra={name: True})) == plain


@pytest.mark.parametrize(
    ('extra', 'told'),
    [
        ({'use_intra_proces_comms': True}, 'use_intra_proces_comms.*unknown.*use_intra_process'),
        ({'enable_rosout': 'yes'}, 'enable_rosout.*boolean'),
        ({'use_clock_thread': 1}, 'use_clock_thread.*boolean'),
    ],
)
def test_other_arguments_are_refused(extra: dict[str, Any], told: str) -> None:
    """By name."""
    with pytest.raises(ParameterError, match=told):
        node_options(request(extra=extra))
