# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Operations read from text: ``resize width=640 height=480``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field
from dataclasses import fields
from dataclasses import MISSING
import shlex
from typing import Any
from typing import get_origin
from typing import get_type_hints
from typing import Literal

from gpu_runtime.errors import ParameterError
from gpu_runtime.image_ops.argument import converted
from gpu_runtime.image_ops.argument import info_of
from gpu_runtime.image_ops.argument import known
from gpu_runtime.image_ops.colour import Convert
from gpu_runtime.image_ops.filters import GaussianBlur
from gpu_runtime.image_ops.filters import Median
from gpu_runtime.image_ops.filters import Sharpen
from gpu_runtime.image_ops.geometry import Crop
from gpu_runtime.image_ops.geometry import Flip
from gpu_runtime.image_ops.geometry import Resize
from gpu_runtime.image_ops.geometry import Rotate
from gpu_runtime.image_ops.histogram import Clahe
from gpu_runtime.image_ops.histogram import Equalize
from gpu_runtime.image_ops.network import Network
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.image_ops.rectify import Rectify
from gpu_runtime.image_ops.tone import BrightnessContrast
from gpu_runtime.image_ops.tone import Gamma

OPERATIONS: dict[str, type[Operation]] = {
    cls.name: cls
    for cls in (
        *(Rectify, Resize, Crop, Flip, Rotate),
        *(GaussianBlur, Median, Sharpen),
        *(Gamma, BrightnessContrast, Equalize, Clahe),
        *(Convert, Network),
    )
}
"""Every operation by name."""


def parse_operations(texts: Iterable[str]) -> tuple[Operation, ...]:
    """
    Read a chain of operations; touches no file and no device.

    Parameters
    ----------
    texts : iterable of str
        Each ``NAME ARGUMENT=VALUE ...``, separated by blanks; values with blanks in quotes.

    Returns
    -------
    tuple of Operation
        In the same order.

    Raises
    ------
    ParameterError
        If a name is unknown, a value is missing, of the wrong type or out of range.

    Examples
    --------
    >>> parse_operations(['resize width=320', 'gamma value=0.8'])[1]
    Gamma(value=0.8)

    """
    return tuple(map(_parsed, texts))


def describe(cls: type[Operation]) -> str:
    """
    Return how an operation is written: its arguments, with defaults, units and legal values.

    Parameters
    ----------
    cls : type
        One of :data:`OPERATIONS`.

    Returns
    -------
    str
        One line.

    """
    return ' '.join([cls.name, *map(_described, fields(cls))])


def _parsed(text: str) -> Operation:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ParameterError(f'operations: {text!r}: {error}; close the quotes') from error
    if not words:
        raise ParameterError(
            f'operations: an entry is empty; expected one of {", ".join(OPERATIONS)}: remove it'
        )
    cls: type[Operation] = known('operations: operation', words[0], OPERATIONS)
    arguments = dict(_argument(cls, word) for word in words[1:])
    missing = [
        declared.name
        for declared in fields(cls)
        if declared.default is MISSING and declared.name not in arguments
    ]
    if missing:
        raise ParameterError(f'operations: {cls.name} needs {missing[0]}; write {describe(cls)}')
    return cls(**arguments)


def _argument(cls: type[Operation], word: str) -> tuple[str, Any]:
    name, equals, value = word.partition('=')
    if not equals:
        raise ParameterError(
            f'operations: {cls.name}: got {word!r}; expected ARGUMENT=VALUE, without blanks '
            f'around the sign: {describe(cls)}'
        )
    declared = {one.name: one for one in fields(cls)}
    known(f'operations: {cls.name}: argument', name, declared)
    return name, converted(cls.name, name, _kind(cls, name), value)


def _kind(cls: type[Operation], name: str) -> type:
    hint = get_type_hints(cls)[name]
    return str if get_origin(hint) is Literal else hint


def _described(declared: Field[Any]) -> str:
    info = info_of(declared)
    default = '' if declared.default is MISSING else f'{declared.default}'
    legal = info.constraint()
    return f'{declared.name}={default}' + (f' ({legal})' if legal else '')
