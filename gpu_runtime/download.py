# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Device tensors on their way to the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.event import Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runtime.pinned_pool import PinnedPool
    from gpu_runtime.pinned_slab import PinnedSlab


@dataclass(eq=False)
class Download:
    """
    Device tensors on their way to the host; made by :meth:`Transfers.download`.

    Parameters
    ----------
    arrays : list of numpy.ndarray
        One per tensor, same shape and type; readable after :meth:`wait`, until :meth:`release`.
    event : Event
        Passes when the copies are complete.
    slabs : list of PinnedSlab
        Leases that back the arrays.
    pool : PinnedPool
        Where they go back to.

    """

    arrays: list[NDArray[Any]]
    event: Event
    slabs: list[PinnedSlab]
    pool: PinnedPool

    def wait(self) -> None:
        """Block the calling thread, without the GIL, until the arrays are complete."""
        self.event.wait_host()

    def release(self) -> None:
        """Give the memory back; the arrays must not be read after this."""
        for slab in self.slabs:
            self.pool.release(slab, self.event)
