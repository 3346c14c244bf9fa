# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Measures one scenario from start to end, as a record that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from datetime import timezone
from typing import Any

import numpy as np
import torch

from gpu_components.bench.contenders import Setup
from gpu_components.bench.performance import conclude
from gpu_components.bench.performance import percentiles
from gpu_components.bench.plan import Plan
from gpu_components.bench.probe import Probe
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.search import find_peak
from gpu_components.bench.session import running
from gpu_components.bench.session import Session
from gpu_components.bench.usage import resident_bytes
from gpu_runtime.card_memory import read_card
from gpu_runtime.errors import CudaError

REQUESTS = 20
PARAMETERS: dict[bool, tuple[str, tuple[Any, Any]]] = {
    True: ('confidence_threshold', (0.5, 0.55)),
    False: ('use_sim_time', (False, False)),
}
"""What is set under load, in the container and in a naive node, which has nothing else."""

QUANTILES = 101


@contextmanager
def measured(
    scenario: Scenario,
    setup: Setup,
    plan: Plan,
    told: Callable[[str], None],
    probed: Callable[[Probe], None],
) -> Iterator[dict[str, Any]]:
    """
    Measure a scenario; blocks for minutes, and at the end until its processes are gone.

    Parameters
    ----------
    scenario : Scenario
        Who and on which pictures.
    setup : Setup
        With what.
    plan : Plan
        How long and how often.
    told : callable
        Gets a line of progress before each probe.
    probed : callable
        Gets each probe when it has ended.

    Yields
    ------
    dict
        The record; see docs/performance for its keys.  The contender runs still: who is impatient
        with its end loses no figure.

    """
    device = torch.device(setup.device)
    used_before = _card_used(device)
    probes: list[Probe] = []
    told('starting')
    with running(scenario, setup) as session:

        def probe(rate_hz: float) -> Probe:
            told(f'{rate_hz:.1f} Hz')
            probes.append(session.probe(rate_hz, plan.seconds, plan.loss)[0])
            probed(probes[-1])
            return probes[-1]

        common = probe(min(plan.common_rate_hz, plan.max_rate_hz))
        peak, repeated = find_peak(
            probe,
            lowest_hz=min(plan.min_rate_hz, plan.max_rate_hz),
            highest_hz=plan.max_rate_hz,
            resolution=plan.resolution,
            repeats=plan.repeats,
        )
        answers_ms = _set_parameters(session, plan, peak.rate_hz) if peak.rate_hz else []
        memory = _memory(session, device, used_before)
        yield {
            'name': scenario.name,
            'group': scenario.group,
            'scenario': asdict(scenario),
            'plan': {
                key: getattr(plan, key) for key in ('seconds', 'repeats', 'loss', 'resolution')
            },
            'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
            'BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION': peak.rate_hz,
            'limit': peak.limit,
            'at_peak': _concluded(repeated),
            'at_common_rate': _concluded([common]),
            'set_parameters_ms': {'requests': len(answers_ms), **percentiles(answers_ms)},
            'memory': memory,
            'probes': [probe.as_json() for probe in probes],
        }


def _concluded(repeats: Sequence[Probe]) -> dict[str, Any]:
    """Sum probes at one rate up; empty without any."""
    if not repeats:
        return {}
    pooled: dict[str, list[float]] = {}
    for repeat in repeats:
        for output, latencies in repeat.latencies().items():
            pooled.setdefault(output, []).extend(latencies)
    cpu = [repeat.cpu_ms_per_frame() for repeat in repeats]
    grid = np.linspace(0.0, 100.0, QUANTILES)
    return {
        'rate_hz': repeats[0].playing.requested_hz,
        'outputs': {
            topic: conclude([repeat.outputs[topic] for repeat in repeats])
            for topic in repeats[0].outputs
        },
        'latency_ms': {output: percentiles(values) for output, values in pooled.items()},
        'latency_quantiles_ms': {
            output: np.percentile(values, grid).round(4).tolist()
            for output, values in pooled.items()
            if values
        },
        'cpu_ms_per_frame': {name: float(np.mean([c[name] for c in cpu])) for name in cpu[0]},
        'ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION': float(
            np.mean([repeat.cpu_percent for repeat in repeats])
        ),
        'timings_ms': repeats[-1].timings,
    }


def _set_parameters(session: Session, plan: Plan, rate_hz: float) -> list[float]:
    """Return how soon parameter requests are answered while the pictures of the peak come."""
    scenario = session.scenario
    if not scenario.set_parameters:
        return []
    name, values = PARAMETERS[scenario.contender == 'container']
    node = f'{scenario.namespaces()[0]}/object_detector'
    parameter = (node, name, [*values] * (REQUESTS // 2))
    return session.probe(rate_hz, plan.seconds, plan.loss, parameter=parameter)[1]


def _memory(session: Session, device: torch.device, used_before: int | None) -> dict[str, Any]:
    """Return bytes held: on the card by difference, pinned as the container tells, in RAM."""
    told = session.memory()
    pinned = told.get('pinned', {}).get('pinned_bytes')
    used = _card_used(device)
    return {
        'device_bytes': None if used is None or used_before is None else used - used_before,
        'torch_device_bytes': int(told.get('process', {}).get('device_bytes', 0)) or None,
        'pinned_bytes': int(pinned) if pinned is not None else None,
        'resident_bytes': {p.name: resident_bytes(p.pid) for p in session.contenders},
    }


def _card_used(device: torch.device) -> int | None:
    """Return what all processes hold on the card; None without one, or if it does not tell."""
    with suppress(CudaError):
        return read_card(device).used
    return None
