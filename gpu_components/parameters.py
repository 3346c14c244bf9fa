# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters of a component as a frozen dataclass: type, unit, range and description in one place.

:func:`parameter` declares a field; :class:`~gpu_components.parameter_store.ParameterStore` turns
the class into ROS parameters with descriptors and hands a new instance to the component at each
accepted change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from typing import Any
from typing import get_origin
from typing import get_type_hints
from typing import Literal
from typing import TypeVar

from gpu_runtime.errors import ParameterError

StringList = tuple[str, ...]
T = TypeVar('T', bound='Parameters')


@dataclass(frozen=True)
class ParameterInfo:
    """
    What is declared about one parameter beside its type and default.

    Parameters
    ----------
    description : str
        One sentence for ``ros2 param describe``.
    unit : str
        SI unit or ``px``; empty for pure numbers and text.
    ge : float, optional
        Smallest legal value.
    le : float, optional
        Largest legal value.
    choices : tuple of str
        The legal texts; empty for any.
    read_only : bool
        Fixed when the component is loaded.
    prepares : bool
        A change makes the component prepare anew (aside, then swapped).

    """

    description: str
    unit: str = ''
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    prepares: bool = False

    def constraint(self) -> str:
        """Return the legal values in words; empty if every value of the type is legal."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        unit = f' {self.unit}' if self.unit else ''
        if self.ge is not None and self.le is not None:
            return f'{self.ge} to {self.le}{unit}'
        if self.ge is not None:
            return f'at least {self.ge}{unit}'
        return f'at most {self.le}{unit}' if self.le is not None else ''


def parameter(default: Any, description: str, **info: Any) -> Any:
    """
    Declare one field of a parameter class.

    Parameters
    ----------
    default : bool, int, float, str or tuple of str
        Value without any file or override.
    description : str
        One sentence.
    **info
        Further fields of :class:`ParameterInfo`.

    Returns
    -------
    dataclasses.Field
        To be assigned in a frozen dataclass.

    """
    return field(default=default, metadata={'ros': ParameterInfo(description, **info)})


def infos(cls: type[Parameters]) -> dict[str, ParameterInfo]:
    """
    Return what a parameter class declares.

    Parameters
    ----------
    cls : type
        A subclass of :class:`Parameters`.

    Returns
    -------
    dict of str to ParameterInfo
        In order of declaration, the common ones first.

    """
    return {f.name: f.metadata['ros'] for f in fields(cls)}


def from_values(cls: type[T], values: Mapping[str, Any]) -> T:
    """
    Make a checked instance from ROS parameter values.

    Parameters
    ----------
    cls : type
        The parameter class.
    values : mapping of str to object
        Values as rclpy has them: arrays are lists.

    Returns
    -------
    object
        An instance of ``cls``.

    Raises
    ------
    ParameterError
        If a value has the wrong type or is out of range.

    """
    hints = get_type_hints(cls)
    return cls(**{name: _typed(name, hints[name], value) for name, value in values.items()})


def ros_type(hint: Any) -> type | None:
    """
    Return the type that ROS has for a field.

    Parameters
    ----------
    hint : type
        Of the field; a ``Literal`` of texts is a text.

    Returns
    -------
    type or None
        bool, int, float or str; None for lists, whose type ROS cannot tell while they are empty.

    """
    if get_origin(hint) is Literal:
        return str
    return hint if hint in (bool, int, float, str) else None


def _typed(name: str, hint: Any, value: Any) -> Any:
    """Return a ROS value as the type that the field has."""
    kind = ros_type(hint)
    if value is None:
        raise ParameterError(f'{name} has no value; expected one of its type')
    if kind is None:
        if isinstance(value, str) and hint != StringList:
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise ParameterError(f'{name} is {value!r}; expected a list of strings')
        return tuple(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParameterError(f'{name} is {value!r}; expected {kind.__name__}')
    return value


@dataclass(frozen=True)
class Parameters:
    """
    Root of all parameter classes.

    Raises
    ------
    ParameterError
        If a value is outside its declared range or choices.

    """

    def __post_init__(self) -> None:
        for name, info in infos(type(self)).items():
            _require_legal(name, info, getattr(self, name))


def _require_legal(name: str, info: ParameterInfo, value: Any) -> None:
    illegal = (
        (bool(info.choices) and value not in info.choices)
        or (info.ge is not None and not value >= info.ge)
        or (info.le is not None and not value <= info.le)
    )
    if illegal:
        raise ParameterError(f'{name} is {value!r}; expected {info.constraint()}')
