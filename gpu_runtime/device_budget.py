# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes on the device: one memory pool per component, one report for all."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextlib import contextmanager
from dataclasses import dataclass
import threading

import torch

from gpu_runtime.errors import LifecycleError
from gpu_runtime.memory_pools import MemoryPools


@dataclass(frozen=True)
class BudgetReport:
    """
    Device memory at one moment, in bytes; all zero on a CPU.

    Parameters
    ----------
    accounts : Mapping of str to int
        Reserved for each component.
    reserved : int
        Reserved by the whole process through torch, accounts included.
    free : int
        Free on the card, for every process.
    total : int
        What the card has.

    """

    accounts: Mapping[str, int]
    reserved: int
    free: int
    total: int


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

    @property
    def nbytes(self) -> int:
        """Bytes reserved on the device; takes a snapshot of the pools, so not for hot paths."""
        pool = self._pool
        if pool is None:
            return 0
        return sum(
            int(segment['total_size'])
            for pool_id in (pool.id, *self._booked)
            for segment in torch.cuda.memory_snapshot(pool_id, include_traces=False)
        )

    def close(self) -> None:
        """Drop the pool; its memory returns to the device when its last tensor is gone."""
        pool, self._pool = self._pool, None
        self._booked.clear()
        if pool is not None:
            self._pools.retire(pool)


class DeviceBudget:
    """
    Accounts of all components on one device.

    Parameters
    ----------
    device : torch.device
        The device of the memory.
    capture_lock : threading.Lock, optional
        Held by whoever captures a CUDA graph in this process.

    """

    def __init__(self, device: torch.device, capture_lock: threading.Lock | None = None) -> None:
        self.device = device
        self._pools = MemoryPools(device, capture_lock or threading.Lock())
        self._lock = threading.Lock()
        self._accounts: dict[str, MemoryAccount] = {}

    def open(self, name: str) -> MemoryAccount:
        """
        Open an account.

        Parameters
        ----------
        name : str
            Fully qualified name of the component.

        Returns
        -------
        MemoryAccount
            The caller ends it with :meth:`close_account`.

        Raises
        ------
        LifecycleError
            If the name has an open account.

        """
        with self._lock:
            if name in self._accounts:
                raise LifecycleError(f'{name} has an open memory account already')
            account = MemoryAccount(name, self.device, self._pools)
            self._accounts[name] = account
            return account

    def close_account(self, account: MemoryAccount) -> None:
        """
        End an account and return its free memory to the device.

        Parameters
        ----------
        account : MemoryAccount
            As returned by :meth:`open`.  Blocks while the driver frees: not for hot paths.

        """
        with self._lock:
            if self._accounts.get(account.name) is account:
                del self._accounts[account.name]
        account.close()
        self.trim()

    def trim(self) -> None:
        """Return cached free memory to the device.  Blocks: for unload and service calls only."""
        if self.device.type == 'cuda':
            self._pools.sweep()
            torch.cuda.empty_cache()

    def report(self) -> BudgetReport:
        """Return what is held now."""
        with self._lock:
            accounts = {name: account.nbytes for name, account in self._accounts.items()}
        if self.device.type != 'cuda':
            return BudgetReport(accounts, 0, 0, 0)
        free, total = torch.cuda.mem_get_info(self.device)
        return BudgetReport(accounts, torch.cuda.memory_reserved(self.device), free, total)

    def close(self) -> list[str]:
        """Return cached memory and the names of accounts still open."""
        self.trim()
        with self._lock:
            return sorted(self._accounts)
