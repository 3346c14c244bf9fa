# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that watches the memory of all others, holds them to limits and trims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import time
from typing import ClassVar
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.memory_report import MemoryReport
from gpu_components.memory_report import MIB
from gpu_components.output import Output
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_runtime.card_memory import read_card
from gpu_runtime.errors import CudaError
from gpu_runtime.errors import ParameterError
from gpu_runtime.memory_limits import MemoryLimits
from gpu_runtime.trim_policy import TrimPolicy

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_runtime.card_memory import CardMemory
    from gpu_runtime.device_budget import BudgetReport
    from gpu_runtime.frame import Frame
    from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class MemoryManagerParameters(ComponentParameters):
    """Parameters of :class:`MemoryManager`."""

    interval_s: float = parameter(
        1.0, 'Time between two looks at the memory.', unit='s', ge=0.1, le=3600.0
    )
    high_watermark: float = parameter(
        0.9,
        'Part of the card, or of the cap, above which cached memory is returned; 0 for never.',
        ge=0.0,
        le=1.0,
    )
    trim_rest_s: float = parameter(
        10.0, 'Shortest time between two trims by policy.', unit='s', ge=0.0, le=86400.0
    )
    limits_mib: StringList = parameter(
        (), 'Most that components may hold: NODE=MIB each, by full or bare node name.', unit='MiB'
    )
    process_limit_mib: int = parameter(
        0,
        'Most that the process may hold on the device; 0 for all the card has.',
        unit='MiB',
        ge=0,
        le=1 << 24,
    )


class MemoryManager(Component[MemoryManagerParameters, MemoryLimits]):
    """Watches device and pinned memory, enforces limits, and trims by policy or on request."""

    parameters = MemoryManagerParameters
    inputs = ('input_image',)
    outputs = (
        Output('memory_status', DiagnosticArray),
        Output('memory_managed_output', Image, bus=True),
    )
    passes_on = True
    services: ClassVar[Mapping[str, str]] = {'trim': 'on_trim', 'report': 'on_report'}

    _trimmed_s = float('-inf')
    _trims = 0
    _told: frozenset[str] = frozenset()

    def check(self, params: MemoryManagerParameters) -> None:
        """
        Refuse limits that cannot be read.

        Parameters
        ----------
        params : MemoryManagerParameters
            The values to check.

        """
        _limits(params.limits_mib)

    def prepare(self, params: MemoryManagerParameters) -> MemoryLimits:
        """
        Put the limits into force.

        Parameters
        ----------
        params : MemoryManagerParameters
            The limits.

        Returns
        -------
        MemoryLimits
            Lifted when the framework closes it.

        """
        limits = MemoryLimits(self.context.budget)
        limits.set(_limits(params.limits_mib), params.process_limit_mib * MIB)
        return limits

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Pass the picture through, by reference.

        Parameters
        ----------
        frame : Frame
            The picture.
        stream : Stream
            Not used.

        Returns
        -------
        dict
            The same frame while somebody reads it.

        """
        if self.wants('memory_managed_output'):
            return {'memory_managed_output': frame}
        return {}

    def timer_period_s(self, params: MemoryManagerParameters) -> float:
        """
        Return the time between two looks at the memory.

        Parameters
        ----------
        params : MemoryManagerParameters
            The present ones.

        Returns
        -------
        float
            Seconds.

        """
        return params.interval_s

    def on_timer(self) -> None:
        """Look at the memory: enforce, trim, publish; may block."""
        now_s = time.monotonic()
        self.prepared.set(_limits(self.params.limits_mib), self.params.process_limit_mib * MIB)
        budget = self.context.budget.report()
        policy = TrimPolicy(self.params.high_watermark, self.params.trim_rest_s)
        if policy.due(budget, now_s - self._trimmed_s):
            self.log.info(f'returned {self._trim() / MIB:.1f} MiB to the device')
            budget = self.context.budget.report()
        self._tell(budget)
        if self.wants('memory_status'):
            self.publish('memory_status', self._report(budget).message(time.time_ns()))

    def on_trim(self) -> tuple[bool, str]:
        """Return cached memory, page-locked memory too; answers the service ``~/trim``."""
        device, pinned = self._trim(), self.context.pinned.trim()
        return True, f'returned {device / MIB:.1f} MiB of the device, {pinned / MIB:.1f} pinned'

    def on_report(self) -> tuple[bool, str]:
        """Say who holds what; answers the service ``~/report``."""
        return True, self._report(self.context.budget.report()).text()

    def _trim(self) -> int:
        self._trims += 1
        freed = self.context.budget.trim()
        self._trimmed_s = time.monotonic()
        return freed

    def _tell(self, budget: BudgetReport) -> None:
        """Log a component once when it gets over its limit."""
        over = budget.over_limit()
        for name in over.keys() - self._told:
            self.log.error(
                f'{name} holds {over[name] / MIB:.0f} MiB more than its limit; it goes on with '
                'what it has, and cannot prepare anything more'
            )
        self._told = frozenset(over)

    def _report(self, budget: BudgetReport) -> MemoryReport:
        card: CardMemory | None = None
        problem = 'no card: everything runs on the CPU'
        if budget.total:
            try:
                card = read_card(self.context.device)
            except CudaError as error:
                problem = str(error)
        return MemoryReport(
            device_name=self.context.device_name,
            budget=budget,
            pinned=self.context.pinned.report(),
            card=card,
            no_card=problem,
            watermark=getattr(self, 'params', self.parameters()).high_watermark,
            trims=self._trims,
        )


def _limits(entries: StringList) -> dict[str, int]:
    """Return bytes by node name of entries such as ``object_detector=2048``."""
    limits = {}
    for entry in entries:
        name, _, mib = entry.partition('=')
        if not name.strip() or not mib.strip().isdecimal() or int(mib) == 0:
            raise ParameterError(
                f'limits_mib has {entry!r}; expected NODE=MIB with a whole number of MiB, such '
                "as 'object_detector=2048'"
            )
        limits[name.strip()] = int(mib) * MIB
    return limits
