# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A memory account with a limit, which gives back what it no longer uses.

Both happen at the end and the beginning of a ``with account.use():`` block, that is while a
component prepares on a control thread, never while a frame is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

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
        self._fresh = True

    @contextmanager
    def use(self) -> Iterator[None]:
        """
        Book what the calling thread allocates inside the block on this account.

        As :meth:`MemoryAccount.use`, and once the outermost block is over the limit is checked.

        Yields
        ------
        None
            Memory allocated inside stays booked here until it is freed, wherever that happens.

        Raises
        ------
        OutOfDeviceMemory
            If the account holds more than its limit after the block.

        """
        with self._turn:
            outermost = self._depth == 0
            if outermost:
                self._renew()
            self._depth += 1
            try:
                with super().use():
                    yield
            finally:
                self._depth -= 1
            if outermost:
                self._require_within_limit()

    def _renew(self) -> None:
        """
        Go on with a new pool, so that the memory of what is replaced can go back to the device.

        torch returns the free memory of a pool only once the pool itself is given up
        (``release_cached_blocks`` in ``c10/cuda/CUDACachingAllocator.cpp`` of torch 2.11).
        """
        old = self._pool
        if old is None or self._fresh:
            self._fresh = False
            return
        alive = {
            pool_id
            for pool_id in self._booked
            if torch.cuda.memory_snapshot(pool_id, include_traces=False)
        }
        self._booked = {*alive, old.id}
        self._pool = self._pools.make()
        self._pools.retire(old)

    def _require_within_limit(self) -> None:
        limit = self._limit()
        held = self.nbytes if limit else 0
        if held > limit:
            raise OutOfDeviceMemory(
                f'{self.name} would hold {held / MIB:.0f} MiB on the device; its limit is '
                f'{limit / MIB:.0f} MiB: raise limits_mib of the memory manager, or take a '
                'smaller model or input, or precision fp16'
            )
