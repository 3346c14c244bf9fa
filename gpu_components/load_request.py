# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a load request means: the same as to the C++ component container."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from rclpy.parameter import Parameter

from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from composition_interfaces.srv import LoadNode

NODE_ARGUMENTS = {
    'forward_global_arguments': 'use_global_arguments',
    'enable_rosout': 'enable_rosout',
    'start_parameter_services': 'start_parameter_services',
    'enable_logger_service': 'enable_logger_service',
}
"""Extra arguments that rclpy nodes know, by their rclcpp names."""

WITHOUT_EFFECT = frozenset(
    (
        'use_intra_process_comms',  # components in this process always share frames
        'enable_topic_statistics',  # not in rclpy
        'start_parameter_event_publisher',  # always on in rclpy
        'use_clock_thread',  # rclpy reads /clock on the control plane
    )
)
"""Extra arguments that rclcpp knows and that change nothing here."""


def node_options(request: LoadNode.Request) -> dict[str, Any]:
    """
    Return the keyword arguments of the node that a request describes.

    Parameters
    ----------
    request : composition_interfaces.srv.LoadNode.Request
        Name, namespace, remappings, parameters and extra arguments are read.

    Returns
    -------
    dict of str to object
        For ``rclpy.node.Node``.  Global arguments are not used unless
        ``forward_global_arguments`` asks for it.

    Raises
    ------
    ParameterError
        If an extra argument is unknown or not a boolean.

    """
    arguments = ['--ros-args']
    for rule in request.remap_rules:
        arguments += ['-r', rule]
    if request.node_name:
        arguments += ['-r', f'__node:={request.node_name}']
    if request.node_namespace:
        arguments += ['-r', f'__ns:={request.node_namespace}']
    return {
        'use_global_arguments': False,
        'cli_args': arguments,
        'parameter_overrides': [Parameter.from_parameter_msg(p) for p in request.parameters],
        **_extra_arguments(request),
    }


def _extra_arguments(request: LoadNode.Request) -> dict[str, bool]:
    options = {}
    for message in request.extra_arguments:
        extra = Parameter.from_parameter_msg(message)
        if extra.name not in NODE_ARGUMENTS and extra.name not in WITHOUT_EFFECT:
            known = ', '.join(sorted({*NODE_ARGUMENTS, *WITHOUT_EFFECT}))
            raise ParameterError(f'extra argument {extra.name!r} is unknown; expected {known}')
        if extra.type_ != Parameter.Type.BOOL:
            raise ParameterError(f'extra argument {extra.name!r} must be a boolean')
        if extra.name in NODE_ARGUMENTS:
            options[NODE_ARGUMENTS[extra.name]] = bool(extra.value)
    return options
