# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Distribution of a duration."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOW = 4096
"""Samples kept per timing: about two minutes at 30 Hz."""


class Samples:
    """The last :data:`WINDOW` samples of a duration in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._ring = array('d', bytes(8 * WINDOW))

    def add(self, duration_s: float) -> None:
        """Keep a sample instead of the oldest."""
        self._ring[self.count % WINDOW] = duration_s
        self.count += 1

    def values(self) -> npt.NDArray[np.float64]:
        """Return a copy, in no order."""
        return np.frombuffer(self._ring)[: self.count].copy()


@dataclass(frozen=True)
class Timing:
    """
    Distribution of a duration over the last :data:`WINDOW` samples.

    Parameters
    ----------
    count : int
        Samples ever seen.
    p50_s : float
        Median in seconds; NaN without samples, as the others.
    p95_s : float
        95th percentile in seconds.
    p99_s : float
        99th percentile in seconds.
    max_s : float
        Longest in seconds.

    """

    count: int
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, samples: npt.ArrayLike, count: int) -> Timing:
        """
        Summarise samples.

        Parameters
        ----------
        samples : array_like of float
            Durations in seconds.
        count : int
            How many there ever were.

        Returns
        -------
        Timing
            Percentiles by linear interpolation (NumPy's default).

        """
        # np.percentile takes several times as long.
        ordered = np.sort(np.asarray(samples, np.float64))
        if not ordered.size:
            return cls(count, *[float('nan')] * 4)
        return cls(count, *(_quantile(ordered, part) for part in (0.5, 0.95, 0.99, 1.0)))


def _quantile(ordered: npt.NDArray[np.float64], part: float) -> float:
    """Interpolate between the two samples around a place in their order."""
    place = part * (ordered.size - 1)
    below = int(place)
    lower, upper = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return lower + (upper - lower) * (place - below)
