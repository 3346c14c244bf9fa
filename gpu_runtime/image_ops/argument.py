# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of an operation: type, unit and range beside the default, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import Field
from dataclasses import field
from dataclasses import MISSING
import difflib
import math
from typing import Any

from gpu_runtime.errors import ParameterError


@dataclass(frozen=True)
class ArgumentInfo:
    """
    What is declared about an argument beside its type and default.

    Parameters
    ----------
    description : str
        A few words.
    unit : str
        SI unit or ``px``; empty for pure numbers and text.
    ge : float
        Smallest legal number.
    le : float
        Largest legal number.
    choices : tuple
        The legal values; empty for any.

    """

    description: str
    unit: str = ''
    ge: float = -math.inf
    le: float = math.inf
    choices: tuple[Any, ...] = ()

    def constraint(self) -> str:
        """Return the legal values in words; empty if every value of the type is legal."""
        if self.choices:
            return 'one of ' + ', '.join(map(str, self.choices))
        if math.isinf(self.le):
            return ''
        return f'{self.ge:g} to {self.le:g}' + (f' {self.unit}' if self.unit else '')

    def allows(self, value: Any) -> bool:
        """
        Tell whether a value is legal.

        Parameters
        ----------
        value : bool, int, float or str
            Of the argument's type.

        Returns
        -------
        bool
            False for NaN too.

        """
        if self.choices:
            return value in self.choices
        return isinstance(value, str) or self.ge <= value <= self.le


def argument(description: str, *, default: Any = MISSING, **info: Any) -> Any:
    """
    Declare one argument of an operation.

    Parameters
    ----------
    description : str
        A few words.
    default : int, float or str, optional
        Without one the argument has to be given.
    **info
        Further fields of :class:`ArgumentInfo`.

    Returns
    -------
    dataclasses.Field
        To be assigned in a frozen dataclass.

    """
    return field(default=default, metadata={'argument': ArgumentInfo(description, **info)})


def info_of(declared: Field[Any]) -> ArgumentInfo:
    """
    Return what :func:`argument` declared.

    Parameters
    ----------
    declared : dataclasses.Field
        Of an operation.

    Returns
    -------
    ArgumentInfo
        Without the default, which the field has.

    """
    info: ArgumentInfo = declared.metadata['argument']
    return info


def converted(operation: str, name: str, kind: type, text: str) -> Any:
    """
    Return the text of an argument as its type.

    Parameters
    ----------
    operation : str
        Name, for the error.
    name : str
        Of the argument, for the error.
    kind : type
        int, float, str or bool (true, false).
    text : str
        As the user wrote it.

    Returns
    -------
    int, float, str or bool
        Not yet checked for its range.

    Raises
    ------
    ParameterError
        If the text is none of the type.

    """
    try:
        return {'true': True, 'false': False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        words = {int: 'a whole number', float: 'a number', bool: 'true or false'}
        raise ParameterError(
            f'operations: {operation}: {name} is {text!r}; expected {words[kind]}'
        ) from error


def known(what: str, name: str, names: Mapping[str, Any]) -> Any:
    """
    Look a name up, or refuse it with the one that was probably meant.

    Parameters
    ----------
    what : str
        Kind of thing, for the error.
    name : str
        As the user wrote it.
    names : mapping of str to object
        Everything that exists.

    Returns
    -------
    object
        What has that name.

    Raises
    ------
    ParameterError
        With a suggestion, and all names.

    """
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    expected = f'expected one of {", ".join(names)}' if names else 'expected none'
    hint = f': did you mean {close[0]}?' if close else ''
    raise ParameterError(f'{what} {name!r} is unknown; {expected}{hint}')
