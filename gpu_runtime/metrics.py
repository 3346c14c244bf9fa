# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Counters and timings of every stage, written by its threads and read as frozen snapshots."""

from __future__ import annotations

from collections import Counter
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
import threading
from types import MappingProxyType

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

    """

    counts: Mapping[str, int]
    timings: Mapping[str, Timing]
    error: str = ''

    @property
    def dropped(self) -> int:
        """Frames dropped, all causes together."""
        return sum(n for name, n in self.counts.items() if name.startswith('dropped'))


class StageMetrics:
    """Metrics of one stage; every method may be called from any thread and does not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._samples: dict[str, deque[float]] = {}
        self._seen: Counter[str] = Counter()
        self._error = ''

    def count(self, name: str, n: int = 1) -> None:
        """
        Add to a counter.

        Parameters
        ----------
        name : str
            Counter name.
        n : int
            How many to add.

        """
        with self._lock:
            self._counts[name] += n

    def observe(self, name: str, duration_s: float) -> None:
        """
        Add a sample to a timing.

        Parameters
        ----------
        name : str
            Timing name.
        duration_s : float
            Seconds.

        """
        with self._lock:
            self._samples.setdefault(name, deque(maxlen=WINDOW)).append(duration_s)
            self._seen[name] += 1

    def fail(self, cause: str, message: str) -> None:
        """
        Count a dropped frame and remember why.

        Parameters
        ----------
        cause : str
            Short name; counted as ``dropped_<cause>``.
        message : str
            What went wrong, for people.

        """
        with self._lock:
            self._counts[f'dropped_{cause}'] += 1
            self._error = message

    def snapshot(self) -> StageSnapshot:
        """Return a frozen copy."""
        with self._lock:
            timings = {k: (list(v), self._seen[k]) for k, v in self._samples.items()}
            counts = dict(self._counts)
            error = self._error
        return StageSnapshot(
            MappingProxyType(counts),
            MappingProxyType({k: Timing.of(*v) for k, v in timings.items()}),
            error,
        )


class Metrics:
    """All stages' metrics of one process, by stage name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, StageMetrics] = {}

    def stage(self, name: str) -> StageMetrics:
        """
        Return a stage's metrics, made at the first call.

        Parameters
        ----------
        name : str
            Fully qualified name of the node or topic.

        Returns
        -------
        StageMetrics
            Shared by all callers.

        """
        with self._lock:
            return self._stages.setdefault(name, StageMetrics())

    def forget(self, name: str) -> None:
        """
        Drop a stage that is gone.

        Parameters
        ----------
        name : str
            Name as given to :meth:`stage`; unknown names are ignored.

        """
        with self._lock:
            self._stages.pop(name, None)

    def snapshot(self) -> Mapping[str, StageSnapshot]:
        """Return frozen copies of all stages."""
        with self._lock:
            stages = dict(self._stages)
        return MappingProxyType({name: stage.snapshot() for name, stage in stages.items()})
