# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark computes: metrics, losses by cause, the search, plans and who is blamed."""

from __future__ import annotations

import math
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

import pytest

from gpu_components.bench.accounting import playing_of
from gpu_components.bench.child_process import ChildProcess
from gpu_components.bench.child_process import END_S
from gpu_components.bench.drops import drops_by_cause
from gpu_components.bench.performance import conclude
from gpu_components.bench.performance import Performance
from gpu_components.bench.plan import Plan
from gpu_components.bench.plan import QUICK
from gpu_components.bench.probe import Playing
from gpu_components.bench.probe import Probe
from gpu_components.bench.scenario import CONTENDERS
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.scenario import STAGES
from gpu_components.bench.search import find_peak
from gpu_components.bench.usage import resident_bytes
from gpu_components.bench.usage import Usage
from gpu_runtime.errors import ParameterError

MS = 1_000_000
SENT = [100 * MS, 110 * MS, 120 * MS, 130 * MS]


def test_latency_is_matched_message_by_message() -> None:
    """Out of order, one lost, one twice, one of an earlier probe."""
    arrivals = [(50 * MS, 101 * MS), (110 * MS, 113 * MS), (100 * MS, 114 * MS)]
    arrivals += [(110 * MS, 120 * MS), (130 * MS, 139 * MS)]
    performance = Performance.of(SENT, arrivals)
    assert performance.latencies_ms == (14.0, 3.0, 9.0)
    assert (performance.lost, performance.unexpected) == (1, 2)
    metrics = performance.metrics
    assert metrics['NUM_FRAMES_SENT'] == 4.0
    assert metrics['NUM_MISSED_FRAMES'] == 1.0
    assert metrics['FIRST_INPUT_LATENCY'] == 14.0
    assert metrics['LAST_SENT_RECEIVED_LATENCY'] == 9.0
    assert metrics['MEAN_LATENCY'] == pytest.approx(26 / 3)
    assert metrics['RECEIVED_DURATION'] == 26.0
    # Arrivals at 113, 114 and 139 ms: intervals of 1 and 25 ms.
    assert metrics['MAX_JITTER'] == metrics['MEAN_JITTER'] == pytest.approx(24.0)


def test_pictures_that_nobody_answered_count_as_lost() -> None:
    performance = Performance.of(SENT, [], unseen=2)
    assert performance.lost == performance.metrics['NUM_MISSED_FRAMES'] == 6
    assert 'MEAN_LATENCY' not in performance.metrics


def test_repeats_lose_best_and_worst_but_percentiles_keep_all() -> None:
    repeats = [
        Performance.of([0, MS], [(0, first * MS), (MS, 2 * MS)]) for first in (1, 5, 6, 7, 100)
    ]
    concluded = conclude(repeats)
    assert concluded['BasicPerformanceMetrics.FIRST_INPUT_LATENCY'] == pytest.approx(6.0)
    assert concluded['BasicPerformanceMetrics.MAX_LATENCY'] == 7.0
    assert concluded['LatencyPercentiles.MAX'] == 100.0
    assert concluded['LatencyPercentiles.P50'] == 1.0
    assert conclude([]) == {}


def stages(**counters: int) -> dict[str, dict[str, str]]:
    """Return diagnostics of one ingress and one stage; ``i_`` marks the ingress."""
    ingress = {k[2:]: str(v) for k, v in counters.items() if k.startswith('i_')}
    stage = {k: str(v) for k, v in counters.items() if not k.startswith('i_')}
    return {'ingress /image': ingress, '/node': {**stage, 'last_error': '', 'host_p50_ms': '1.5'}}


def test_losses_are_explained_to_the_last_picture() -> None:
    before = stages(i_received=10, processed=10, dropped_overflow=3)
    after = stages(
        i_received=107,
        i_dropped_invalid=2,
        i_unwanted=1,
        processed=100,
        dropped_overflow=6,
        dropped_error=1,
    )
    where: dict[str, Any] = {'image_topic': '/image', 'node': '/node'}
    assert drops_by_cause(before, after, sent=100, received=88, **where) == {
        'transport_in': 3,
        'ingress_unwanted': 1,
        'ingress_invalid': 2,
        'stage_overflow': 3,
        'stage_error': 1,
        'transport_out': 2,
    }
    told = drops_by_cause(before, after, sent=100, received=83, **where)
    assert told['transport_out'] == 7
    after['/node']['processed'] = '90'
    told = drops_by_cause(before, after, sent=100, received=83, **where)
    assert told['unexplained'] == 10


class Judgement:
    """A probe that knows nothing but its verdict."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict


def searched(judge: Any, **options: Any) -> tuple[Any, list[float]]:
    """Search with a judge of rates; return the peak and the rates that were tried."""
    tried: list[float] = []

    def probe(rate_hz: float) -> Judgement:
        tried.append(rate_hz)
        return Judgement(judge(rate_hz, len(tried)))

    known = {'lowest_hz': 1.0, 'highest_hz': 100.0, 'resolution': 0.05, 'repeats': 5} | options
    peak, repeated = find_peak(probe, **known)
    assert len(repeated) in (0, known['repeats'])
    return peak, tried


def test_the_search_ends_at_the_limit() -> None:
    peak, tried = searched(lambda rate, _: 'sustained' if rate <= 42.0 else 'lost')
    assert 42.0 / 1.05 <= peak.rate_hz <= 42.0
    assert peak.limit == 'lost'
    assert tried[-5:] == [peak.rate_hz] * 5
    assert len(tried) < 20


def test_the_search_knows_the_ends() -> None:
    peak, tried = searched(lambda rate, _: 'sustained')
    assert (peak.rate_hz, peak.limit, len(tried)) == (100.0, 'highest', 6)
    peak, tried = searched(lambda rate, _: 'lost')
    assert (peak.rate_hz, peak.limit, tried[-1]) == (0.0, 'lost', 1.0)
    peak, _ = searched(lambda rate, _: 'sustained' if rate <= 1.0 else 'publisher')
    assert (peak.rate_hz, peak.limit) == (1.0, 'publisher')


def test_one_bad_repeat_lowers_the_rate() -> None:
    """The first probe is the search, the fourth the third repeat at what it found."""
    peak, tried = searched(lambda rate, n: 'lost' if n == 4 else 'sustained')
    assert tried[:4] == [100.0] * 4
    assert tried[4:] == [95.0] * 5
    assert (peak.rate_hz, peak.limit) == (95.0, 'lost')


def probe_of(playing: Playing, lost: int) -> Probe:
    """Return a probe of ten pictures that lost some."""
    sent = [i * MS for i in range(10)]
    output = Performance.of(sent, [(stamp, stamp + MS) for stamp in sent[lost:]])
    return Probe(playing, {'/a/image': output}, 0.1, {'container': 50.0}, 10.0, {}, {})


@pytest.mark.parametrize(
    ('achieved_hz', 'late', 'lost', 'verdict'),
    [
        (10.0, 0, 0, 'sustained'),
        (9.95, 0, 1, 'sustained'),
        (10.0, 0, 2, 'lost'),
        (9.5, 0, 2, 'publisher'),
        (10.0, 1, 2, 'publisher'),
    ],
)
def test_a_slow_publisher_blames_nobody(
    achieved_hz: float, late: int, lost: int, verdict: str
) -> None:
    probe = probe_of(Playing(10.0, achieved_hz, 10, late, 0.0), lost)
    assert probe.verdict == verdict
    assert probe.loss == lost / 10
    assert probe.cpu_ms_per_frame() == {'container': 5.0}
    assert probe.as_json()['received'] == {'/a/image': 10 - lost}


@pytest.mark.parametrize(
    ('period_ns', 'unseen', 'kept'),
    [(10_000_000, 0, True), (10_090_000, 0, True), (10_120_000, 0, False), (10_120_000, 1, True)],
)
def test_a_camera_inside_keeps_its_rate_as_a_publisher_does(
    period_ns: int, unseen: int, kept: bool
) -> None:
    """99 % of it, by all pictures that it made between the first and the last that was seen."""
    stamps = [7 + number * period_ns for number in range(501)]
    playing = playing_of(100.0, {}, {'/a/image_raw': stamps}, {'/a/image_raw': unseen})
    assert playing.kept is kept
    assert playing.frames == 501 + unseen
    published = {'achieved_hz': playing.achieved_hz, 'late': 0, 'worst_late_ms': 0.0}
    assert playing_of(100.0, published, {'/a/image_raw': stamps}, {}).kept is kept


def test_the_plan_has_every_scenario_of_the_comparison() -> None:
    found = Plan().scenarios()
    assert len({scenario.name for scenario in found}) == len(found)
    ours = [s for s in found if s.contender == 'container']
    assert {s.stages for s in ours} == {tuple(STAGES), *((stage,) for stage in STAGES)}
    assert {s.cameras for s in ours} == {1, 2, 4, 8}
    assert {s.source for s in ours} == {'ros', 'in_process'}
    sizes = {(640, 480), (1280, 720), (1920, 1080)}
    for contender in CONTENDERS:
        whole = [s for s in found if s.contender == contender and len(s.stages) == len(STAGES)]
        assert {(s.width, s.height) for s in whole} == sizes
        assert any(s.set_parameters for s in whole)
    assert all(s.cameras == 1 for s in found if s.contender != 'container')


def test_scenarios_are_chosen_by_name() -> None:
    names = [s.name for s in Plan(only=('all-640x480-*',)).scenarios()]
    assert names[0] == 'all-640x480-container'
    assert 'all-640x480-container-in_process' in names
    assert len(QUICK.scenarios()) == 2
    with pytest.raises(ParameterError, match='all-640x480-container'):
        Plan(only=('none',)).scenarios()
    with pytest.raises(ParameterError, match='naive_tuned'):
        Plan(contenders=('other',)).scenarios()


def test_scenarios_of_a_group_do_the_same_work() -> None:
    ours = Scenario('container', ('image_processor',), 64, 48, cameras=2, source='in_process')
    theirs = Scenario('naive_tuned', ('image_processor',), 64, 48, cameras=2)
    assert ours.group == theirs.group == 'image_processor-64x48-2_cameras'
    assert ours.outputs() == {
        f'/bench/camera_{i}/processed_image': f'/bench/camera_{i}/image_raw' for i in range(2)
    }


def test_cpu_time_of_a_process_is_what_it_used() -> None:
    pids = {'me': os.getpid()}
    before, began_s = Usage.now(pids), time.process_time()
    while time.process_time() - began_s < 0.2:
        math.sqrt(2.0)
    after = Usage.now(pids)
    spent_ms = (time.process_time() - began_s) * 1e3
    assert after.ms_since(before)['me'] == pytest.approx(spent_ms, abs=40.0)
    assert 0.0 < after.percent_since(before) <= 100.0
    assert resident_bytes(os.getpid()) > 1 << 20


def test_who_is_talked_to_ends_even_where_ctrl_c_is_ignored(tmp_path: Path) -> None:
    """As in what a shell has started in the background."""
    script = 'from gpu_components.bench.serve import serve; serve(lambda n: n + 1)'
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = [sys.executable, '-c', script]
        child = ChildProcess('child', command, os.environ, tmp_path / 'child.log', talks=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.ask(60.0, n=1) == 2
    began_s = time.monotonic()
    child.close()
    assert time.monotonic() - began_s < END_S / 2
