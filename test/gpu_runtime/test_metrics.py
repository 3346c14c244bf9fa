# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Counters, percentiles and frozen snapshots."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
import math

import pytest

from gpu_runtime.metrics import Metrics
from gpu_runtime.stage_metrics import StageMetrics
from gpu_runtime.timing import Timing
from gpu_runtime.timing import WINDOW


def test_percentiles_of_known_samples() -> None:
    timing = Timing.of([float(n) for n in range(101)], 101)
    assert timing == Timing(101, 50.0, 95.0, 99.0, 100.0)
    assert Timing.of([2.0, 1.0], 2).p50_s == 1.5
    assert Timing.of([3.0], 1) == Timing(1, 3.0, 3.0, 3.0, 3.0)


def test_no_samples_are_not_a_number() -> None:
    timing = Timing.of([], 0)
    assert timing.count == 0
    assert all(map(math.isnan, (timing.p50_s, timing.p95_s, timing.p99_s, timing.max_s)))


def test_the_window_forgets_old_samples_but_counts_them() -> None:
    stage = StageMetrics()
    stage.observe('latency', 1000.0)
    for _ in range(WINDOW):
        stage.observe('latency', 1.0)
    timing = stage.snapshot().timings['latency']
    assert timing == Timing(WINDOW + 1, 1.0, 1.0, 1.0, 1.0)


def test_several_are_added_in_one_step() -> None:
    stage = Metrics().stage('/a')
    stage.add('received', 'batches', queue=0.25)
    stage.add('batches', queue=0.75, host=0.5)
    stage.processed(17, latency=2.0)
    snapshot = stage.snapshot()
    assert snapshot.counts == {'received': 1, 'batches': 2, 'processed': 1}
    assert {k: (t.count, t.max_s) for k, t in snapshot.timings.items()} == {
        'queue': (2, 0.75),
        'host': (1, 0.5),
        'latency': (1, 2.0),
    }
    assert snapshot.stamp_ns == 17


def test_drops_of_all_causes_are_summed() -> None:
    stage = StageMetrics()
    stage.count('processed', 7)
    stage.count('dropped_overflow')
    stage.fail('error', 'no such thing')
    stage.fail('error', 'again')
    snapshot = stage.snapshot()
    assert snapshot.dropped == 3
    assert snapshot.error == 'again'
    assert dict(snapshot.counts) == {'processed': 7, 'dropped_overflow': 1, 'dropped_error': 2}


def test_a_snapshot_is_frozen() -> None:
    stage = StageMetrics()
    stage.count('processed')
    snapshot = stage.snapshot()
    stage.count('processed')
    stage.observe('latency', 1.0)
    assert (snapshot.counts['processed'], dict(snapshot.timings)) == (1, {})
    with pytest.raises(TypeError):
        snapshot.counts['processed'] = 5  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        snapshot.error = 'other'  # type: ignore[misc]


def test_stages_are_shared_by_name_until_forgotten() -> None:
    metrics = Metrics()
    stage = metrics.stage('/detector')
    assert metrics.stage('/detector') is stage
    assert set(metrics.snapshot()) == {'/detector'}
    metrics.forget('/detector')
    metrics.forget('/detector')
    assert dict(metrics.snapshot()) == {}
    assert metrics.stage('/detector') is not stage


def test_no_count_is_lost_between_threads() -> None:
    metrics = Metrics()

    def work(_: int) -> None:
        for _ in range(2000):
            stage = metrics.stage('/stage')
            stage.count('processed')
            stage.observe('latency', 0.5)
            stage.snapshot() if stage.snapshot().counts['processed'] % 500 == 0 else None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    snapshot = metrics.snapshot()['/stage']
    assert snapshot.counts['processed'] == 8000
    assert snapshot.timings['latency'].count == 8000
