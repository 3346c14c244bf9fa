# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes on the device: one memory pool per component, one report for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import threading

import torch

from gpu_runtime.errors import LifecycleError
from gpu_runtime.memory_account import MemoryAccount
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
