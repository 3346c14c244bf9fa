# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""State of one stage's metrics at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from types import MappingProxyType

from gpu_runtime.timing import Timing


@dataclass(frozen=True)
class StageSnapshot:
    """
    State of one stage's metrics at one moment.

    Parameters
    ----------
    counts : Mapping of str to int
        Events by name, such as ``processed`` or ``dropped_overflow``.
    timings : Mapping of str to Timing
        Durations by name, such as ``latency``.
    error : str
        Text of the last failure; empty while there was none.
    stamp_ns : int
        Stamp of the last frame processed; 0 before the first.
    notes : Mapping of str to str
        States by name, such as ``engine``.

    """

    counts: Mapping[str, int]
    timings: Mapping[str, Timing]
    error: str = ''
    stamp_ns: int = 0
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def dropped(self) -> int:
        """Frames dropped, all causes together."""
        return sum(n for name, n in self.counts.items() if name.startswith('dropped'))
