# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How the floor table takes its medians."""

from __future__ import annotations

from collections.abc import Callable
import statistics
import time
from typing import Any

OVERLAPPED = 'all, overlapped'
"""All stages with some frames under way: a period, where the others are latencies."""


WARM_UP_S = 0.2
"""Work that goes before what counts: a device raises its clock once there is some."""


def warm_up(work: Callable[[], Any], repeats: int) -> None:
    """Call some work a tenth as often as it will be measured, and for a while."""
    end_s = time.perf_counter() + (WARM_UP_S if repeats >= 10 else 0.0)
    for _ in range(max(1, repeats // 10)):
        work()
    while time.perf_counter() < end_s:
        work()


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of some work that ends on the host."""
    warm_up(work, repeats)
    taken = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(taken)
