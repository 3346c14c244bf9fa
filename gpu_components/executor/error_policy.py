# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What happens to an exception that a callback let out.

Who calls: the thread that ran the callback, after the callback has ended.
"""

from __future__ import annotations

from collections.abc import Callable
import traceback

from rclpy.exceptions import InvalidHandle
from rclpy.logging import get_logger
from rclpy.node import Node

#: Called with the exception, the entity whose callback raised it (a timer, a service, ...; None
#: for a task) and its node (None for a task).
ErrorPolicy = Callable[[BaseException, 'object | None', 'Node | None'], None]


def log_and_continue(exception: BaseException, entity: object | None, node: Node | None) -> None:
    """
    Log the traceback under the node's name.

    Parameters
    ----------
    exception : BaseException
        What the callback raised.
    entity : object or None
        The entity whose callback it was.
    node : Node or None
        The node of that entity.

    """
    logger = get_logger('executor') if node is None else node.get_logger()
    kind = 'task' if entity is None else type(entity).__name__.lower()
    name = _name(entity)
    where = f'{kind} {name}' if name else kind
    trace = ''.join(traceback.format_exception(exception))
    logger.error(f'callback of {where} raised {exception!r}; executor goes on\n{trace}')


def _name(entity: object | None) -> str | None:
    try:
        return getattr(entity, 'srv_name', None) or getattr(entity, 'topic_name', None)
    except InvalidHandle:  # the callback destroyed it
        return None


def apply_policy(
    policy: ErrorPolicy, exception: BaseException, entity: object | None, node: Node | None
) -> None:
    """
    Hand an exception to the policy; a policy that raises is logged instead.

    Parameters
    ----------
    policy : ErrorPolicy
        What to call.
    exception : BaseException
        Passed on.
    entity : object or None
        Passed on.
    node : Node or None
        Passed on.

    """
    try:
        policy(exception, entity, node)
    except Exception as failure:  # an executor must outlive its error policy
        failure.__context__ = exception
        log_and_continue(failure, entity, None)
