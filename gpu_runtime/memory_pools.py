# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Owner of torch's memory pools: a pool is dropped only while nothing can be hurt by it.

The destructor of ``torch.cuda.MemPool`` asserts that no thread of the process is inside
``use_mem_pool`` or a graph capture (``captures_underway.empty()`` in
``c10/cuda/CUDACachingAllocator.cpp`` of torch 2.11), and an assertion that fails in a destructor
ends the process.  So pools live here, users name them by their id, and a retired pool waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import threading
from typing import NamedTuple

import torch


class PoolId(NamedTuple):
    """Names a pool to torch without keeping it alive, as a frame of a traceback would."""

    id: tuple[int, int]


class MemoryPools:
    """
    Pools of one device; every method may be called from any thread.

    Parameters
    ----------
    device : torch.device
        A CUDA device, or the CPU, where there are no pools.
    capture_lock : threading.Lock
        Held by whoever captures a CUDA graph.

    """

    def __init__(self, device: torch.device, capture_lock: threading.Lock) -> None:
        self._device = device
        self._capture_lock = capture_lock
        self._lock = threading.Lock()
        self._users = 0
        self._pools: dict[PoolId, torch.cuda.MemPool] = {}
        self._retired: set[PoolId] = set()

    @property
    def retired(self) -> int:
        """Retired pools that could not be dropped yet."""
        return len(self._retired)

    def make(self) -> PoolId | None:
        """Return a new pool, or None on a CPU."""
        if self._device.type != 'cuda':
            return None
        with torch.cuda.device(self._device):
            pool = torch.cuda.MemPool()
        name = PoolId(pool.id)
        with self._lock:
            self._pools[name] = pool
        return name

    @contextmanager
    def allocating(self, pool: PoolId | None) -> Iterator[None]:
        """
        Let the calling thread allocate from a pool inside the block.

        Parameters
        ----------
        pool : PoolId or None
            As :meth:`make` returned it; one thread at a time may be inside.

        Yields
        ------
        None
            No pool is dropped inside.

        """
        if pool is None:
            yield
            return
        with self._lock:
            self._users += 1
        try:
            with torch.cuda.use_mem_pool(pool, self._device):  # type: ignore[arg-type]
                yield
        finally:
            with self._lock:
                self._users -= 1
            self.sweep()

    def retire(self, pool: PoolId) -> None:
        """
        Drop a pool now, or as soon as no pool is in use and no graph is captured.

        Parameters
        ----------
        pool : PoolId
            Its memory returns to the device once its last tensor is gone.

        """
        with self._lock:
            self._retired.add(pool)
        self.sweep()

    def sweep(self) -> None:
        """Drop what was retired, if that is possible now.  Blocks while the driver frees."""
        with self._lock:
            # Never waited for: whoever captures may be the caller.
            if self._users or not self._retired or not self._capture_lock.acquire(blocking=False):
                return
            try:
                while self._retired:
                    del self._pools[self._retired.pop()]
            finally:
                self._capture_lock.release()
