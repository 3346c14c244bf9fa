# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark from start to end: processes, exact losses, and its report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpu_components.cli import main

OUTPUTS = {
    'processed_image',
    'object_detections',
    'optimized_output',
    'memory_managed_output',
    'gpu_depth_map',
    'gpu_semantic_map',
}


@pytest.fixture(scope='module')
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run the quick benchmark at a rate that any machine bears; return its records by name."""
    out = tmp_path_factory.mktemp('bench')
    options = '--quick --device cpu --seconds 1 --max-rate-hz 2 --common-rate-hz 2 --loss 0.5'
    assert main(['bench', *options.split(), '--out', str(out)]) == 0
    assert '<svg' in (out / 'bench.html').read_text()
    found = json.loads((out / 'bench.json').read_text())['scenarios']
    for record in found:  # each probe was kept as soon as it had ended
        kept = (out / 'work' / f'{record["name"]}.probes.jsonl').read_text().splitlines()
        assert [json.loads(line) for line in kept] == record['probes']
    return {record['scenario']['contender']: record for record in found}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_output_of_every_contender_is_measured(records: dict[str, Any]) -> None:
    """Latencies, the metrics' public names, CPU time and the answers to parameter requests."""
    assert set(records) == {'container', 'naive_one_process'}
    for record in records.values():
        common = record['at_common_rate']
        assert set(common['latency_ms']) == OUTPUTS
        for latency in common['latency_ms'].values():
            assert 0.0 < latency['P50'] <= latency['P99'] <= latency['MAX']
        for metrics in common['outputs'].values():
            assert metrics['BasicPerformanceMetrics.NUM_FRAMES_SENT'] == 3.0
            assert metrics['BasicPerformanceMetrics.MEAN_PLAYBACK_FRAME_RATE'] > 0.0
        processes = set(common['cpu_ms_per_frame'])
        watching = {name for name in processes if name.startswith('monitor ')}
        assert 'publisher' in processes
        assert len(watching) == 6
        assert len(processes) == 8
        assert min(record['memory']['resident_bytes'].values()) > 1 << 20
        if record['at_peak']:
            assert record['set_parameters_ms']['requests'] == 20
            assert record['set_parameters_ms']['P50'] > 0.0


@pytest.mark.slow
def test_no_picture_is_unaccounted_for(records: dict[str, Any]) -> None:
    """Sent is received plus lost; the container's losses are explained to the last one."""
    for record in records.values():
        for probe in record['probes']:
            assert probe['unexpected'] == 0
            assert all(count <= probe['sent'] for count in probe['received'].values())
    for probe in records['container']['probes']:
        for topic, received in probe['received'].items():
            drops = probe['drops'][topic]
            assert 'unexplained' not in drops
            assert sum(drops.values()) == probe['sent'] - received


@pytest.mark.slow
def test_the_container_tells_what_it_holds_and_where_time_goes(records: dict[str, Any]) -> None:
    """By its own diagnostics; a naive node has none."""
    ours, theirs = records['container'], records['naive_one_process']
    assert ours['memory']['pinned_bytes'] > 0  # plain memory on a CPU, kept likewise
    assert theirs['memory']['pinned_bytes'] is None
    stage = ours['at_common_rate']['timings_ms']['/bench/camera_0/object_detector']
    assert 0.0 < stage['device_p50_ms'] < stage['latency_p99_ms']
    assert theirs['at_common_rate']['timings_ms'] == {}
