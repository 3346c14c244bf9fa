# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Operations one after the other, with what they keep on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.image_ops.operation import Operation
    from gpu_runtime.image_ops.operation import Step
    from gpu_runtime.image_ops.picture import Picture


class ImageChain:
    """
    Applies operations in order; one thread at a time.

    Parameters
    ----------
    operations : iterable of Operation
        Perhaps none.
    context : GpuContext
        Where they run.  Blocks while networks load.

    Raises
    ------
    ModelError
        If a network cannot be loaded; what was loaded before it is released.

    """

    def __init__(self, operations: Iterable[Operation], context: GpuContext) -> None:
        self._steps: list[Step] = []
        try:
            for operation in operations:
                self._steps.append(operation.step(context))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of operations."""
        return len(self._steps)

    def __call__(self, picture: Picture) -> Picture:
        """
        Apply all operations on the calling thread's current stream.

        Parameters
        ----------
        picture : Picture
            To be read only.

        Returns
        -------
        Picture
            May share memory with the one given, if nothing changed.  Does not block.

        Raises
        ------
        SpecMismatchError
            If an operation does not fit the picture.

        """
        for step in self._steps:
            picture = step(picture)
        return picture

    def close(self) -> None:
        """Release networks and maps."""
        steps, self._steps = self._steps, []
        for step in steps:
            close = getattr(step, 'close', None)
            if close is not None:
                close()
