# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The device memory of one component.

A thread allocates on one account at a time, for the length of a ``with account.use():`` block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
import threading

import torch

from gpu_runtime.captured_graph import GraphPool
from gpu_runtime.memory_pools import MemoryPools


class _ActiveAccount(threading.local):
    """The account that the calling thread allocates on now, and torch's guard for it."""

    account: MemoryAccount | None = None
    guard: AbstractContextManager[None] | None = None


_ACTIVE = _ActiveAccount()


@contextmanager
def _allocating_on(account: MemoryAccount | None) -> Iterator[MemoryAccount | None]:
    """Switch the calling thread to an account, or to none; gives the one it leaves."""
    left = _ACTIVE.account
    _switch(account)
    try:
        yield left
    finally:
        _switch(left)


def _switch(account: MemoryAccount | None) -> None:
    if _ACTIVE.guard is not None:
        _ACTIVE.guard.__exit__(None, None, None)
    _ACTIVE.account, _ACTIVE.guard = account, None
    if account is not None:
        guard = account.allocating()
        guard.__enter__()
        _ACTIVE.guard = guard


@contextmanager
def outside_accounts() -> Iterator[MemoryAccount | None]:
    """
    Let the calling thread allocate outside its account, for a CUDA graph's private pool.

    Memory of a graph must not be handed out between replays, as an account's pool would; the
    graph's pool is told to the account with :meth:`MemoryAccount.book` instead.

    Yields
    ------
    MemoryAccount or None
        The account that is set aside for the length of the block.

    """
    with _allocating_on(None) as account:
        yield account


def current_account() -> MemoryAccount | None:
    """
    Return the account that the calling thread allocates on.

    Returns
    -------
    MemoryAccount or None
        None outside any ``with account.use():`` block.

    """
    return _ACTIVE.account


class MemoryAccount:
    """
    The device memory of one component; made by :meth:`DeviceBudget.open`.

    Parameters
    ----------
    name : str
        Fully qualified name of the component.
    device : torch.device
        The device of the memory.
    pools : MemoryPools
        Owner of the pool behind the account.

    """

    def __init__(self, name: str, device: torch.device, pools: MemoryPools) -> None:
        self.name = name
        self.device = device
        self._pools = pools
        self._pool = pools.make()
        self._graph_pool: GraphPool | None = None
        self._turn = threading.RLock()
        self._booked: set[tuple[int, int]] = set()

    @contextmanager
    def use(self) -> Iterator[None]:
        """
        Book what the calling thread allocates inside the block on this account.

        Blocks while another thread is inside a block of this account, since torch lets one thread
        at a time use a pool.  May be nested.

        Yields
        ------
        None
            Memory allocated inside stays booked here until it is freed, wherever that happens.

        """
        with self._turn, _allocating_on(self):
            yield

    def allocating(self) -> AbstractContextManager[None]:
        """Return torch's guard for this account; for :meth:`use`, which see."""
        return self._pools.allocating(self._pool)

    def book(self, pool_id: tuple[int, int]) -> None:
        """
        Count another pool of torch's allocator on this account.

        Parameters
        ----------
        pool_id : tuple of int
            As ``torch.cuda.CUDAGraph.pool()`` returns it.

        """
        self._booked.add(pool_id)

    def graph_pool(self, stream: torch.cuda.Stream) -> GraphPool:
        """
        Return the pool for the graphs of this component's stage.

        Parameters
        ----------
        stream : torch.cuda.Stream
            As for :class:`GraphPool`, always the same.

        Returns
        -------
        GraphPool
            Booked here, and closed with the account.

        """
        if self._graph_pool is None:
            self._graph_pool = GraphPool(stream)
            self.book(self._graph_pool.handle)
        return self._graph_pool

    @property
    def pools(self) -> frozenset[tuple[int, int]]:
        """What torch calls the pools that are counted here; none on a CPU."""
        pool = self._pool
        return frozenset() if pool is None else frozenset((pool.id, *self._booked))

    @property
    def nbytes(self) -> int:
        """Bytes reserved on the device; takes a snapshot of the pools, so not for hot paths."""
        return sum(
            int(segment['total_size'])
            for pool_id in self.pools
            for segment in torch.cuda.memory_snapshot(pool_id, include_traces=False)
        )

    def close(self) -> None:
        """Drop the pools; their memory returns to the device when its last tensor is gone."""
        pool, self._pool = self._pool, None
        graphs, self._graph_pool = self._graph_pool, None
        self._booked.clear()
        if graphs is not None:
            graphs.close()
        if pool is not None:
            self._pools.retire(pool)
