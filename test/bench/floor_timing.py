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


def warm_up(repeats: int) -> int:
    """Return how many calls go before those that count."""
    return max(1, repeats // 10)


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of some work that ends on the host."""
    taken = []
    for _ in range(warm_up(repeats) + repeats):
        began_s = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(taken[warm_up(repeats) :])
