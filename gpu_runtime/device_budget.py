# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes on the device: one memory pool per component, one report for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import threading
from types import MappingProxyType

import torch

from gpu_runtime.errors import LifecycleError
from gpu_runtime.limited_account import LimitedAccount
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
    allocated : int
        Part of ``reserved`` that tensors occupy; the rest is cached.
    peak : int
        Largest ``reserved`` since the process began.
    cap : int
        Most that the process may reserve; 0 for no cap.
    limits : Mapping of str to int
        Limit of each account that has one.
    peaks : Mapping of str to int
        Largest value of each account that a report has seen.

    """

    accounts: Mapping[str, int]
    reserved: int
    free: int
    total: int
    allocated: int = 0
    peak: int = 0
    cap: int = 0
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    peaks: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def over_limit(self) -> Mapping[str, int]:
        """Return by how many bytes accounts exceed their limits; empty if none does."""
        return {
            name: self.accounts[name] - limit
            for name, limit in self.limits.items()
            if self.accounts[name] > limit
        }

    @property
    def cached(self) -> int:
        """Bytes that are reserved and hold no tensor: what a trim could return at most."""
        return self.reserved - self.allocated

    @property
    def used_fraction(self) -> float:
        """What is taken of the card or of the cap, whichever is fuller: 0 to 1."""
        card = 1.0 - self.free / self.total if self.total else 0.0
        return max(card, self.reserved / self.cap if self.cap else 0.0)


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
        self._limits: Mapping[str, int] = {}
        self._peaks: dict[str, int] = {}
        self._cap = 0
        self._held: dict[str, int] = {}
        self._held_of: object = None

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
            account = LimitedAccount(name, self.device, self._pools, lambda: self._limit_of(name))
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
                self._peaks.pop(account.name, None)
        account.close()
        self.trim()

    def limit(self, limits: Mapping[str, int]) -> None:
        """
        Set the limits of accounts, open ones and those to come.

        Parameters
        ----------
        limits : Mapping of str to int
            Bytes by fully qualified name of the component, or by its bare name in any
            namespace.  Replaces all limits set before.  An account above its limit is told by
            :meth:`BudgetReport.over_limit`, and its component cannot prepare anything more.

        """
        self._limits = dict(limits)

    def _limit_of(self, name: str) -> int:
        limits = self._limits
        return limits.get(name) or limits.get(name.rpartition('/')[2], 0)

    def cap(self, nbytes: int) -> None:
        """
        Set what the process may reserve; torch's allocator refuses to go beyond.

        Parameters
        ----------
        nbytes : int
            Bytes; 0 for all that the card has.  No effect on a CPU.

        """
        if self.device.type == 'cuda' and nbytes != self._cap:
            total = torch.cuda.get_device_properties(self.device).total_memory
            fraction = min(1.0, nbytes / total) if nbytes else 1.0
            torch.cuda.set_per_process_memory_fraction(fraction, self.device)
        self._cap = nbytes

    def trim(self) -> int:
        """
        Return cached free memory to the device.

        Returns
        -------
        int
            Bytes returned.  Blocks, and so do frames that allocate meanwhile: for unload, service
            calls and rare trims by policy only.

        """
        if self.device.type != 'cuda':
            return 0
        before = int(torch.cuda.memory_reserved(self.device))
        self._pools.sweep()
        torch.cuda.empty_cache()
        return before - int(torch.cuda.memory_reserved(self.device))

    def report(self) -> BudgetReport:
        """Return what is held now; takes a snapshot of pools that have changed."""
        free = total = 0
        stats: Mapping[str, int] = {}
        if self.device.type == 'cuda':
            free, total = torch.cuda.mem_get_info(self.device)
            stats = torch.cuda.memory_stats(self.device)
        with self._lock:
            accounts = self._by_account(stats)
            for name, nbytes in accounts.items():
                self._peaks[name] = max(nbytes, self._peaks.get(name, 0))
            peaks = {name: peak for name, peak in self._peaks.items() if peak}
        return BudgetReport(
            accounts=accounts,
            reserved=stats.get('reserved_bytes.all.current', 0),
            free=free,
            total=total,
            allocated=stats.get('allocated_bytes.all.current', 0),
            peak=stats.get('reserved_bytes.all.peak', 0),
            cap=self._cap,
            limits={name: self._limit_of(name) for name in accounts if self._limit_of(name)},
            peaks=peaks,
        )

    def _by_account(self, stats: Mapping[str, int]) -> dict[str, int]:
        """
        Return the bytes of each account.

        A snapshot holds the interpreter lock for milliseconds, and pools change only where torch
        asks the driver for memory, or gives some back.
        """
        calls = [stats.get(f'num_device_{kind}', 0) for kind in ('alloc', 'free')]
        state = calls, {name: account.pools for name, account in self._accounts.items()}
        if state != self._held_of:
            self._held = {name: account.nbytes for name, account in self._accounts.items()}
            self._held_of = state
        return dict(self._held)

    def close(self) -> list[str]:
        """Return cached memory and the names of accounts still open."""
        self.trim()
        with self._lock:
            return sorted(self._accounts)
