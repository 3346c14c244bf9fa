# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Page-locked host memory in slabs of exact size, leased per copy and used again."""

from __future__ import annotations

from collections import Counter
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import threading
from typing import TYPE_CHECKING

import numpy as np

from gpu_runtime.event import Event
from gpu_runtime.pinned_slab import MARGIN
from gpu_runtime.pinned_slab import PinnedSlab

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PinnedReport:
    """
    What a :class:`PinnedPool` holds.

    Parameters
    ----------
    nbytes : int
        Bytes of all slabs.
    slabs : int
        Number of all slabs.
    leased : int
        Slabs that are out now.
    allocations : int
        Slabs ever allocated; constant in steady state.
    by_owner : Mapping of str to int
        Bytes of the slabs that each owner leased last.

    """

    nbytes: int
    slabs: int
    leased: int
    allocations: int
    by_owner: Mapping[str, int] = field(default_factory=dict, compare=False)


class PinnedPool:
    """
    Owner of page-locked memory for copies to and from the device.

    ``cudaHostAlloc`` can stall every thread of the process, and torch's pinned allocator rounds
    up to powers of two: so slabs have the exact size, and are kept.

    Parameters
    ----------
    device : torch.device, optional
        A CUDA device; default none, as on the CPU, where the slabs are plain memory.

    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._page_locked = device is not None and device.type == 'cuda'
        self._lock = threading.Lock()
        self._shelf: defaultdict[int, list[PinnedSlab]] = defaultdict(list)
        self._leased: dict[int, PinnedSlab] = {}
        self._allocations = 0

    def reserve(self, nbytes: int, count: int) -> None:
        """
        Allocate slabs ahead of time.

        Parameters
        ----------
        nbytes : int
            Size of each slab.
        count : int
            Slabs that shall be on the shelf.  Blocks while the driver allocates.

        """
        slabs = [self.lease(nbytes) for _ in range(count)]
        for slab in slabs:
            self.release(slab)

    def lease(self, nbytes: int, owner: str = '') -> PinnedSlab:
        """
        Return a slab of exactly ``nbytes`` bytes.

        Parameters
        ----------
        nbytes : int
            Size in bytes.
        owner : str
            Who leases it, for reports.

        Returns
        -------
        PinnedSlab
            From the shelf if one has passed its event, else newly allocated (which may block).
            The caller gives it back with :meth:`release`.

        """
        with self._lock:
            shelf = self._shelf[nbytes]
            for i, slab in enumerate(shelf):
                if slab.after.passed():
                    del shelf[i]
                    break
            else:
                slab = self._allocate(nbytes)
            slab.owner = owner
            self._leased[id(slab)] = slab
            return slab

    def _allocate(self, nbytes: int) -> PinnedSlab:
        self._allocations += 1
        if self._page_locked and nbytes:
            import cupy

            pointer = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(nbytes + MARGIN), 0)
            memory = np.frombuffer(pointer, np.uint8, nbytes + MARGIN)
        else:
            memory = np.empty(nbytes + MARGIN, np.uint8)
        return PinnedSlab(memory, nbytes, Event())

    def release(self, slab: PinnedSlab, after: Event | None = None) -> None:
        """
        Put a slab back; it is handed out again once ``after`` has passed.

        Parameters
        ----------
        slab : PinnedSlab
            A lease of this pool; one that came back already is left as it is.
        after : Event, optional
            Recorded after the last copy from or into the slab; None if there is none.

        """
        with self._lock:
            if self._leased.pop(id(slab), None) is not None:
                slab.after = after or Event()
                self._shelf[slab.array.nbytes].append(slab)

    def trim(self) -> int:
        """Free every shelved slab whose event has passed; return the bytes freed."""
        freed = 0
        with self._lock:
            for nbytes, slabs in list(self._shelf.items()):
                kept = [slab for slab in slabs if not slab.after.passed()]
                freed += nbytes * (len(slabs) - len(kept))
                self._shelf[nbytes] = kept
        return freed

    def report(self) -> PinnedReport:
        """Return what is held now."""
        with self._lock:
            shelved = [slab for slabs in self._shelf.values() for slab in slabs]
            slabs = shelved + list(self._leased.values())
            by_owner: Counter[str] = Counter()
            for slab in slabs:
                by_owner[slab.owner] += slab.array.nbytes
            return PinnedReport(
                nbytes=sum(slab.array.nbytes for slab in slabs),
                slabs=len(slabs),
                leased=len(self._leased),
                allocations=self._allocations,
                by_owner=dict(by_owner),
            )

    def close(self) -> list[str]:
        """Free the shelf and describe the slabs that never came back."""
        with self._lock:
            self._shelf.clear()
            return [f'pinned slab of {slab.array.nbytes} bytes' for slab in self._leased.values()]
