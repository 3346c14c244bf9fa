# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What is held where, as a diagnostics message and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue

from gpu_components.messages import header_message
from gpu_runtime.header import Header

if TYPE_CHECKING:
    from gpu_runtime.card_memory import CardMemory
    from gpu_runtime.device_budget import BudgetReport
    from gpu_runtime.pinned_pool import PinnedReport

MIB = 1 << 20


@dataclass(frozen=True)
class MemoryReport:
    """
    Memory of the process and its card at one moment.

    Parameters
    ----------
    device_name : str
        What the device calls itself.
    budget : BudgetReport
        Accounts of the components and the process's total.
    pinned : PinnedReport
        Page-locked host memory, which all components share.
    card : CardMemory or None
        The whole card, as the driver tells.
    no_card : str
        Why ``card`` is None.
    watermark : float
        Part of the card or the cap above which the process is told to be short of memory.
    trims : int
        Trims so far, by policy and by service.

    """

    device_name: str
    budget: BudgetReport
    pinned: PinnedReport
    card: CardMemory | None
    no_card: str
    watermark: float
    trims: int

    def message(self, stamp_ns: int) -> DiagnosticArray:
        """
        Return the report for machines: one status per component, and three for all.

        Parameters
        ----------
        stamp_ns : int
            Nanoseconds since the epoch.

        Returns
        -------
        diagnostic_msgs.msg.DiagnosticArray
            Values are whole bytes, under keys that end in ``_bytes``.

        """
        return DiagnosticArray(
            header=header_message(Header(stamp_ns, '')),
            status=[
                DiagnosticStatus(
                    level=level,
                    name=f'memory: {name}',
                    message=text,
                    hardware_id=self.device_name,
                    values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
                )
                for level, name, text, values in self._rows()
            ],
        )

    def text(self) -> str:
        """Return the report for people, one line per component."""
        return '\n'.join(f'{name}: {text}' for _, name, text, _ in self._rows())

    def _rows(self) -> Iterator[tuple[bytes, str, str, dict[str, int]]]:
        yield self._process()
        yield self._pinned()
        yield self._card()
        for name in sorted(self.budget.accounts):
            yield self._account(name)

    def _process(self) -> tuple[bytes, str, str, dict[str, int]]:
        budget = self.budget
        level = DiagnosticStatus.OK
        text = f'{_mib(budget.reserved)} on the device, peak {_mib(budget.peak)}'
        if budget.cap:
            text += f', cap {_mib(budget.cap)}'
        if self.watermark and budget.used_fraction > self.watermark:
            level = DiagnosticStatus.WARN
            text += f'; {budget.used_fraction:.0%} is taken, more than {self.watermark:.0%}'
        values = {
            'device_bytes': budget.reserved,
            'tensors_bytes': budget.allocated,
            'cached_bytes': budget.cached,
            # What frames work with; torch's shared pool, which no component owns.
            'shared_bytes': max(0, budget.reserved - sum(budget.accounts.values())),
            'peak_bytes': budget.peak,
            'cap_bytes': budget.cap,
            'trims': self.trims,
        }
        return level, 'process', text, values

    def _pinned(self) -> tuple[bytes, str, str, dict[str, int]]:
        pinned = self.pinned
        text = f'{_mib(pinned.nbytes)} in {pinned.slabs} slabs, {pinned.leased} in use'
        values = {
            'pinned_bytes': pinned.nbytes,
            'slabs': pinned.slabs,
            'leased': pinned.leased,
            'allocations': pinned.allocations,
            **{f'{name}_bytes': size for name, size in sorted(pinned.by_owner.items())},
        }
        return DiagnosticStatus.OK, 'pinned', text, values

    def _card(self) -> tuple[bytes, str, str, dict[str, int]]:
        card = self.card
        if card is None:
            # Without a GPU nothing is wrong; with one the driver should answer.
            level = DiagnosticStatus.WARN if self.budget.total else DiagnosticStatus.OK
            return level, 'card', self.no_card, {}
        text = f'{_mib(card.used)} of {_mib(card.total)} used by all processes'
        values = {'total_bytes': card.total, 'used_bytes': card.used, 'free_bytes': card.free}
        if card.process is not None:
            values['process_bytes'] = card.process
        return DiagnosticStatus.OK, 'card', text, values

    def _account(self, name: str) -> tuple[bytes, str, str, dict[str, int]]:
        held = self.budget.accounts[name]
        limit = self.budget.limits.get(name, 0)
        level, text = DiagnosticStatus.OK, _mib(held)
        if limit:
            text += f' of {_mib(limit)}'
        if name in self.budget.over_limit():
            level = DiagnosticStatus.ERROR
            text += ': over its limit; raise limits_mib, or take a smaller model or fp16'
        values = {
            'device_bytes': held,
            'peak_bytes': self.budget.peaks.get(name, 0),
            'limit_bytes': limit,
        }
        return level, name, text, values


def _mib(nbytes: int) -> str:
    return f'{nbytes / MIB:.1f} MiB'
