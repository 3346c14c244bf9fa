# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A memory account with a limit, which keeps no memory that its component does not use.

Both are seen to at the end of a ``with account.use():`` block, that is when a component has
prepared on a control thread, never while a frame is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gpu_runtime.errors import OutOfDeviceMemory
from gpu_runtime.memory_account import MemoryAccount
from gpu_runtime.memory_pools import MemoryPools

MIB = 1 << 20


class LimitedAccount(MemoryAccount):
    """
    The device memory of one component, up to a limit.

    Parameters
    ----------
    name : str
        Fully qualified name of the component.
    device : torch.device
        The device of the memory.
    pools : MemoryPools
        Owner of the pools behind the account.
    limit : callable
        Returns the present limit in bytes; 0 for none.

    """

    def __init__(
        self, name: str, device: torch.device, pools: MemoryPools, limit: Callable[[], int]
    ) -> None:
        super().__init__(name, device, pools)
        self._limit = limit
        self._depth = 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """
        Book what the calling thread allocates inside the block on this account.

        As :meth:`MemoryAccount.use`; when the outermost block ends, cached memory goes back and
        the limit is checked.

        Yields
        ------
        None
            Memory allocated inside stays booked here until it is freed, wherever that happens.

        Raises
        ------
        OutOfDeviceMemory
            If tensors of the account take more than its limit after the block.

        """
        with self._turn:
            self._depth += 1
            try:
                with super().use():
                    yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._renew()
            if self._depth == 0:
                self._require_within_limit()

    def _renew(self) -> None:
        """
        Give the pool up and make the next one.

        torch returns the free memory of a pool only once the pool itself is given up
        (``release_cached_blocks`` in ``c10/cuda/CUDACachingAllocator.cpp`` of torch 2.11): so what
        warming up took would stay, and so would a model that was replaced.
        """
        old = self._pool
        if old is None:
            return
        alive = {pool_id for pool_id in self._booked if _segments(pool_id)}
        self._booked = {*alive, old.id}
        self._pool = self._pools.make()
        self._pools.retire(old)

    def _require_within_limit(self) -> None:
        limit = self._limit()
        if not limit:
            return
        held = sum(
            int(segment['allocated_size'])
            for pool_id in self._booked
            for segment in _segments(pool_id)
        )
        if held > limit:
            raise OutOfDeviceMemory(
                f'{self.name} would hold {held / MIB:.0f} MiB on the device; its limit is '
                f'{limit / MIB:.0f} MiB: raise limits_mib of the memory manager, or take a '
                'smaller model or input, or precision fp16'
            )


def _segments(pool_id: tuple[int, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = torch.cuda.memory_snapshot(pool_id, include_traces=False)
    return found
