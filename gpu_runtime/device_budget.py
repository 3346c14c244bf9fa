# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes on the device: one memory pool per component, one report for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from gpu_runtime.errors import LifecycleError


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


class MemoryAccount:
    """
    The device memory of one component; made by :meth:`DeviceBudget.open`.

    Parameters
    ----------
    name : str
        Fully qualified name of the component.
    device : torch.device
        The device of the memory.

    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        self.device = device
        self._pool = torch.cuda.MemPool() if device.type == 'cuda' else None

    @contextmanager
    def use(self) -> Iterator[None]:
        """
        Book what the calling thread allocates inside the block on this account.

        Yields
        ------
        None
            Memory allocated inside stays booked here until it is freed, wherever that happens.

        """
        if self._pool is None:
            yield
        else:
            with torch.cuda.use_mem_pool(self._pool, self.device):
                yield

    @property
    def nbytes(self) -> int:
        """Bytes reserved on the device; takes a snapshot of the pool, so not for hot paths."""
        if self._pool is None:
            return 0
        return sum(int(segment['total_size']) for segment in self._pool.snapshot())

    def close(self) -> None:
        """Drop the pool; its memory returns to the device when its last tensor is gone."""
        self._pool = None


class DeviceBudget:
    """
    Accounts of all components on one device.

    Parameters
    ----------
    device : torch.device
        The device of the memory.

    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
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
            account = self._accounts[name] = MemoryAccount(name, self.device)
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
            self._accounts.pop(account.name, None)
        account.close()
        self.trim()

    def trim(self) -> None:
        """Return cached free memory to the device.  Blocks: for unload and service calls only."""
        if self.device.type == 'cuda':
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
