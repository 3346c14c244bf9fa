# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Distribution of a duration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 4096
"""Samples kept per timing: about two minutes at 30 Hz."""


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
    def of(cls, samples: list[float], count: int) -> Timing:
        """
        Summarise samples.

        Parameters
        ----------
        samples : list of float
            Durations in seconds.
        count : int
            How many there ever were.

        Returns
        -------
        Timing
            Percentiles by linear interpolation (NumPy's default).

        """
        if not samples:
            return cls(count, *[float('nan')] * 4)
        p50, p95, p99 = np.percentile(samples, (50, 95, 99))
        return cls(count, float(p50), float(p95), float(p99), max(samples))
