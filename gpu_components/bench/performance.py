# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics of one output, by stamps sent and results received.

Names and definitions are those of NVIDIA's ros2_benchmark where it has them; it knows latency by
the first and last message unless told to match them, and no percentiles: here every message
counts.

Source: NVIDIA-ISAAC-ROS/ros2_benchmark, basic_performance_calculator.py (names, units, jitter as
the absolute second difference of the arrivals, and the conclusion over repeats).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NS_PER_MS = 1e6
GROUP = 'BasicPerformanceMetrics'
OWN_GROUP = 'LatencyPercentiles'
PERCENTILES = {'P50': 50.0, 'P95': 95.0, 'P99': 99.0, 'MAX': 100.0}
LARGEST = ('MAX_LATENCY', 'MAX_JITTER', 'MEAN_JITTER')
SMALLEST = ('MIN_LATENCY', 'MIN_JITTER')


@dataclass(frozen=True)
class Performance:
    """
    What one output did in one probe.

    Parameters
    ----------
    metrics : Mapping of str to float
        By the names of ros2_benchmark, without the group; those that cannot be computed lack.
    latencies_ms : tuple of float
        Of each picture that was answered, in the order of the stamps.
    lost : int
        Pictures that were not answered.
    unexpected : int
        Results whose stamp was not sent, or that came twice.

    """

    metrics: Mapping[str, float]
    latencies_ms: tuple[float, ...]
    lost: int
    unexpected: int

    @classmethod
    def of(
        cls, sent_ns: Sequence[int], arrivals: Sequence[Sequence[int]], *, unseen: int = 0
    ) -> Performance:
        """
        Match results with pictures.

        Parameters
        ----------
        sent_ns : sequence of int
            Stamps in nanoseconds, each once.
        arrivals : sequence of (int, int)
            Stamp and time of arrival in nanoseconds, in the order of arrival.
        unseen : int
            Pictures that were sent too, with stamps that nobody knows.

        Returns
        -------
        Performance
            Percentiles are not part of it: they are taken over all repeats together.

        """
        expected = set(sent_ns)
        answered: dict[int, int] = {}
        for stamp_ns, at_ns in arrivals:
            if stamp_ns in expected:
                answered.setdefault(stamp_ns, at_ns)
        latencies = [(answered[s] - s) / NS_PER_MS for s in sent_ns if s in answered]
        sent = len(sent_ns) + unseen
        metrics = {
            'NUM_FRAMES_SENT': float(sent),
            'NUM_MISSED_FRAMES': float(sent - len(answered)),
        }
        if len(sent_ns) > 1:
            between_ms = (sent_ns[-1] - sent_ns[0]) / NS_PER_MS
            metrics['MEAN_PLAYBACK_FRAME_RATE'] = len(sent_ns) / between_ms * 1e3
        if latencies:
            metrics |= _of_latencies(latencies)
            metrics |= _of_arrivals(sent_ns, list(answered.values()))
        return cls(
            metrics,
            tuple(latencies),
            sent - len(answered),
            len(arrivals) - len(answered),
        )


def _of_latencies(latencies: list[float]) -> dict[str, float]:
    return {
        'FIRST_INPUT_LATENCY': latencies[0],
        'LAST_INPUT_LATENCY': latencies[-1],
        'MAX_LATENCY': max(latencies),
        'MIN_LATENCY': min(latencies),
        'MEAN_LATENCY': float(np.mean(latencies)),
    }


def _of_arrivals(sent_ns: Sequence[int], arrived_ns: list[int]) -> dict[str, float]:
    duration_ms = (arrived_ns[-1] - arrived_ns[0]) / NS_PER_MS
    metrics = {
        'RECEIVED_DURATION': duration_ms,
        'FIRST_SENT_RECEIVED_LATENCY': (arrived_ns[0] - sent_ns[0]) / NS_PER_MS,
        'LAST_SENT_RECEIVED_LATENCY': (arrived_ns[-1] - sent_ns[-1]) / NS_PER_MS,
    }
    if duration_ms > 0:
        metrics['MEAN_FRAME_RATE'] = len(arrived_ns) / duration_ms * 1e3
    if len(arrived_ns) > 2:
        jitters = np.abs(np.diff(np.asarray(arrived_ns) / NS_PER_MS, n=2))
        metrics |= {
            'MAX_JITTER': float(jitters.max()),
            'MIN_JITTER': float(jitters.min()),
            'MEAN_JITTER': float(jitters.mean()),
            'STD_DEV_JITTER': float(jitters.std()),
        }
    return metrics


def conclude(repeats: Sequence[Performance]) -> dict[str, float]:
    """
    Sum repeats up as ros2_benchmark does.

    Parameters
    ----------
    repeats : sequence of Performance
        Of one output.

    Returns
    -------
    dict of str to float
        By name with group. Of three or more repeats the best and the worst value of each metric
        are left out; then the mean is taken, but of the metrics in :data:`LARGEST` and
        :data:`SMALLEST` the largest and smallest. The percentiles are those of all messages of
        all repeats, with nothing left out.

    """
    concluded = {}
    for name in repeats[0].metrics if repeats else ():
        values = sorted(repeat.metrics[name] for repeat in repeats if name in repeat.metrics)
        if len(values) < len(repeats):
            continue
        kept = values[1:-1] if len(values) > 2 else values
        pick = max if name in LARGEST else min if name in SMALLEST else np.mean
        concluded[f'{GROUP}.{name}'] = float(pick(kept))
    pooled = [latency for repeat in repeats for latency in repeat.latencies_ms]
    return concluded | {f'{OWN_GROUP}.{k}': v for k, v in percentiles(pooled).items()}


def percentiles(latencies_ms: Sequence[float]) -> dict[str, float]:
    """
    Return the percentiles that are reported.

    Parameters
    ----------
    latencies_ms : sequence of float
        Milliseconds.

    Returns
    -------
    dict of str to float
        Milliseconds by name, by linear interpolation; empty without any.

    """
    if not latencies_ms:
        return {}
    values = np.percentile(latencies_ms, list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, map(float, values), strict=True))
