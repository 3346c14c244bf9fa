# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The link between a parameter class and a node's ROS parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Generic
from typing import get_type_hints
from typing import TYPE_CHECKING
from typing import TypeVar

from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import IntegerRange
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.exceptions import InvalidParameterValueException

from gpu_components.parameters import from_values
from gpu_components.parameters import infos
from gpu_components.parameters import ParameterInfo
from gpu_components.parameters import Parameters
from gpu_components.parameters import ros_type
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.parameter import Parameter

T = TypeVar('T', bound=Parameters)


def descriptor(name: str, hint: Any, info: ParameterInfo) -> ParameterDescriptor:
    """
    Return the ROS descriptor of a parameter.

    Parameters
    ----------
    name : str
        Parameter name.
    hint : type
        Type of the field.
    info : ParameterInfo
        What the class declares.

    Returns
    -------
    rcl_interfaces.msg.ParameterDescriptor
        With range, unit and choices.  Lists have dynamic typing: an empty list has no type in
        ROS 2.

    """
    unit = f' [{info.unit}]' if info.unit else ''
    message = ParameterDescriptor(
        name=name,
        description=info.description + unit,
        additional_constraints=info.constraint(),
        read_only=info.read_only,
        dynamic_typing=ros_type(hint) is None,
    )
    if info.ge is not None and info.le is not None:
        if hint is int:
            bounds = IntegerRange(from_value=int(info.ge), to_value=int(info.le), step=0)
            message.integer_range = [bounds]
        else:
            limits = FloatingPointRange(from_value=float(info.ge), to_value=float(info.le))
            message.floating_point_range = [limits]
    return message


class ParameterStore(Generic[T]):
    """
    Declares a parameter class on a node and keeps the accepted values.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the parameters.
    cls : type
        A subclass of :class:`~gpu_components.parameters.Parameters`.

    Raises
    ------
    ParameterError
        If an override has the wrong type or is out of range.

    """

    def __init__(self, node: Node, cls: type[T]) -> None:
        self._cls = cls
        self._node = node
        hints = get_type_hints(cls)
        defaults = cls()
        self._names = frozenset(infos(cls))
        fields = [
            (name, _ros_value(getattr(defaults, name)), descriptor(name, hints[name], info))
            for name, info in infos(cls).items()
        ]
        try:
            declared = node.declare_parameters('', fields)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(str(error)) from error
        # An empty list in a YAML file has no type in ROS 2 and arrives as no value.
        given = {p.name: p.value for p in declared if p.value is not None}
        self.current = from_values(
            cls, {n: given.get(n, getattr(defaults, n)) for n in self._names}
        )

    def listen(
        self, accept: Callable[[T, frozenset[str]], None], commit: Callable[[T], None]
    ) -> None:
        """
        Start to pass changes on.

        Parameters
        ----------
        accept : callable
            Called with the new instance and the names that changed; may block; refuses by
            raising a :class:`~gpu_runtime.errors.GpuPerceptionError`.
        commit : callable
            Called with the new instance once it is accepted.

        """
        self._accept = accept
        self._commit = commit
        self._node.add_on_set_parameters_callback(self._on_set)
        if hasattr(self._node, 'add_post_set_parameters_callback'):
            self._node.add_post_set_parameters_callback(self._on_done)

    def _updated(self, changes: list[Parameter[Any]]) -> T:
        values = {name: getattr(self.current, name) for name in self._names}
        values.update({p.name: p.value for p in changes if p.name in self._names})
        return from_values(self._cls, values)

    def _on_set(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        try:
            new = self._updated(changes)
            changed = {n for n in self._names if getattr(new, n) != getattr(self.current, n)}
            self._accept(new, frozenset(changed))
        except GpuPerceptionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:
            self._node.get_logger().error(f'parameter change failed: {error!r}')
            return SetParametersResult(successful=False, reason=repr(error))
        if not hasattr(self._node, 'add_post_set_parameters_callback'):
            self._on_done(changes)  # rclpy of Humble has no callback after the fact
        return SetParametersResult(successful=True)

    def _on_done(self, changes: list[Parameter[Any]]) -> None:
        self.current = self._updated(changes)
        self._commit(self.current)


def _ros_value(value: Any) -> Any:
    """Return a field's value as rclpy takes it."""
    return list(value) if isinstance(value, tuple) else value
