# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The highest rate that is sustained: bisection first, then repeats that all have to hold."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from typing import Protocol
from typing import TypeVar

STEP_DOWN = 0.95
"""Factor on the rate after a repeat that lost too much."""


class Judged(Protocol):
    """What the search has to know of a probe."""

    @property
    def verdict(self) -> Literal['sustained', 'lost', 'publisher']:
        """Whether little enough was lost, too much, or the publisher did not keep the rate."""


P = TypeVar('P', bound=Judged)


@dataclass(frozen=True)
class Peak:
    """
    What the search found.

    Parameters
    ----------
    rate_hz : float
        Highest rate at which every repeat held; 0 if there is none.
    limit : str
        What is above it: ``lost``, ``publisher`` (which cannot play faster, so the contender may
        be faster than that), or ``highest`` (no higher rate was tried).

    """

    rate_hz: float
    limit: Literal['lost', 'publisher', 'highest']


def find_peak(
    probe: Callable[[float], P],
    *,
    lowest_hz: float,
    highest_hz: float,
    resolution: float,
    repeats: int,
) -> tuple[Peak, Sequence[P]]:
    """
    Search the highest sustained rate.

    Parameters
    ----------
    probe : callable
        Plays at a rate in pictures per second and judges.
    lowest_hz : float
        If it is not sustained, nothing is.
    highest_hz : float
        Not exceeded.
    resolution : float
        The bisection, geometric, ends when its bounds differ by less than this part.
    repeats : int
        Probes at the rate found, which all have to hold; if one does not, the rate is lowered.

    Returns
    -------
    peak : Peak
        The rate.
    repeated : sequence
        The probes at that rate; empty if there is none.

    """
    low_hz, high_hz = 0.0, highest_hz
    limit: Literal['lost', 'publisher', 'highest'] = 'highest'
    trial_hz = highest_hz
    while True:
        verdict = probe(trial_hz).verdict
        if verdict == 'sustained':
            low_hz = trial_hz
        else:
            high_hz, limit = trial_hz, verdict
        if low_hz == high_hz or high_hz <= lowest_hz:
            break
        if low_hz and high_hz / low_hz - 1.0 < resolution:
            break
        trial_hz = max(lowest_hz, ((low_hz or lowest_hz) * high_hz) ** 0.5)
        if not low_hz and trial_hz / lowest_hz - 1.0 < resolution:
            trial_hz = lowest_hz
    rate_hz = low_hz
    while rate_hz >= lowest_hz:
        repeated: list[P] = []
        for _ in range(repeats):
            repeated.append(probe(rate_hz))
            if repeated[-1].verdict != 'sustained':
                limit = repeated[-1].verdict
                break
        else:
            return Peak(rate_hz, limit), repeated
        rate_hz *= STEP_DOWN
    return Peak(0.0, limit), []
