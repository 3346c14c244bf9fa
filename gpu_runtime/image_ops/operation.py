# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What an operation on pictures is: arguments as data, and the step that applies them.

An operation is read from text, checked and compared without a device.  ``step`` makes what runs:
called once per chain on a control thread, where it may block; the step is then called for every
picture on the one thread of its stage, with the stage's stream bound, and only enqueues.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields
from typing import ClassVar
from typing import Protocol
from typing import TYPE_CHECKING

from gpu_runtime.errors import ParameterError
from gpu_runtime.image_ops.argument import info_of

if TYPE_CHECKING:
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.image_ops.picture import Picture


class Step(Protocol):
    """Something that makes a picture of a picture; its ``close()``, if any, frees what it has."""

    def __call__(self, picture: Picture) -> Picture:
        """
        Enqueue the work on the calling thread's current stream; does not block.

        Parameters
        ----------
        picture : Picture
            To be read only.

        Returns
        -------
        Picture
            May share memory with the one given.

        """


@dataclass(frozen=True)
class Operation:
    """
    An operation with its arguments.

    Raises
    ------
    ParameterError
        If an argument is out of its declared range.

    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for declared in fields(self):
            info, value = info_of(declared), getattr(self, declared.name)
            if not info.allows(value):
                raise ParameterError(
                    f'operations: {self.name}: {declared.name} is {value}; expected '
                    f'{info.constraint()}'
                )

    def step(self, context: GpuContext) -> Step:
        """
        Return what applies the operation: itself, unless it keeps something on the device.

        Parameters
        ----------
        context : GpuContext
            Where it will run.

        Returns
        -------
        Step
            Closed by its owner.

        """
        return self

    def __call__(self, picture: Picture) -> Picture:
        """
        Apply the operation; see :class:`Step`.

        Parameters
        ----------
        picture : Picture
            To be read only.

        Returns
        -------
        Picture
            May share memory with the one given.

        """
        raise NotImplementedError
