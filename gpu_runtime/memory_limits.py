# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The limits of a device budget, in force until they are closed."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_runtime.device_budget import DeviceBudget


class MemoryLimits:
    """
    Limits that one owner sets and lifts.

    Parameters
    ----------
    budget : DeviceBudget
        Enforces them.

    """

    def __init__(self, budget: DeviceBudget) -> None:
        self._budget = budget

    def set(self, accounts: Mapping[str, int], process: int) -> None:
        """
        Replace all limits.

        Parameters
        ----------
        accounts : Mapping of str to int
            As for :meth:`DeviceBudget.limit`.
        process : int
            As for :meth:`DeviceBudget.cap`.

        """
        self._budget.limit(accounts)
        self._budget.cap(process)

    def close(self) -> None:
        """Lift all limits."""
        self.set({}, 0)
