# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Counters and timings of one stage, and their frozen snapshot."""

from __future__ import annotations

from collections import Counter
from collections import defaultdict
import threading
from types import MappingProxyType

from gpu_runtime.stage_snapshot import StageSnapshot
from gpu_runtime.timing import Samples
from gpu_runtime.timing import Timing


class StageMetrics:
    """Metrics of one stage; every method may be called from any thread and does not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._samples: defaultdict[str, Samples] = defaultdict(Samples)
        self._error = ''
        self._notes: dict[str, str] = {}
        self._stamp_ns = 0

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
            self._samples[name].add(duration_s)

    def add(self, *names: str, **durations_s: float) -> None:
        """
        Add to counters and timings in one step.

        Parameters
        ----------
        *names : str
            Counters that grow by one.
        **durations_s : float
            Seconds, by the names of timings.

        """
        with self._lock:
            for name in names:
                self._counts[name] += 1
            for name, duration_s in durations_s.items():
                self._samples[name].add(duration_s)

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

    def note(self, name: str, text: str) -> None:
        """
        Remember a state, for people.

        Parameters
        ----------
        name : str
            What it is the state of, such as ``engine``.
        text : str
            The state; replaces the one before, empty forgets it.

        """
        with self._lock:
            if text:
                self._notes[name] = text
            else:
                self._notes.pop(name, None)

    def processed(self, stamp_ns: int, **durations_s: float) -> None:
        """
        Count a frame that is done.

        Parameters
        ----------
        stamp_ns : int
            Its stamp.
        **durations_s : float
            As :meth:`add` takes them.

        """
        self._stamp_ns = stamp_ns
        self.add('processed', **durations_s)

    def snapshot(self) -> StageSnapshot:
        """Return a frozen copy."""
        with self._lock:
            timings = {k: (v.values(), v.count) for k, v in self._samples.items()}
            counts, notes = dict(self._counts), dict(self._notes)
            error, stamp_ns = self._error, self._stamp_ns
        return StageSnapshot(
            MappingProxyType(counts),
            MappingProxyType({k: Timing.of(*v) for k, v in timings.items()}),
            error,
            stamp_ns,
            MappingProxyType(notes),
        )
