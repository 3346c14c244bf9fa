# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The run of ``gpu_perception bench``: all scenarios of a plan, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

from rich.console import Console

from gpu_components.bench.contenders import Setup
from gpu_components.bench.html_page import html_page
from gpu_components.bench.machine_facts import machine_facts
from gpu_components.bench.measurement import measured
from gpu_components.bench.networks import write_networks
from gpu_components.bench.plan import Plan
from gpu_components.bench.probe import Probe
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.surroundings import rivals_script
from gpu_components.bench.tables import print_tables
from gpu_runtime.device import resolve_device
from gpu_runtime.errors import GpuPerceptionError

REPORT = 'bench.json'
PAGE = 'bench.html'
RECORDS = 'scenarios'
WORK = 'work'


def run_bench(
    plan: Plan,
    out: Path,
    *,
    device: str = 'auto',
    rivals: str = '',
    console: Console | None = None,
) -> int:
    """
    Measure the scenarios of a plan and write the report.

    Parameters
    ----------
    plan : Plan
        What is measured.
    out : pathlib.Path
        Made if it is not there. Gets a record per scenario as soon as it is measured, and
        ``bench.json`` and ``bench.html`` of all records that are there, earlier ones too.
    device : str
        As the container's parameter.
    rivals : str
        Script of the naive nodes; empty for that of the source tree.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0; 1 if a scenario failed, with the reason printed; 2 if the plan was refused.  Blocks.

    """
    console = console or Console()
    try:
        scenarios = plan.scenarios()
        chosen = str(resolve_device(device))
        naive = any(scenario.contender != 'container' for scenario in scenarios)
        script = rivals_script(rivals) if naive else None
    except GpuPerceptionError as error:
        print(f'bench: {error}', file=sys.stderr)
        return 2
    machine = machine_facts(chosen)
    (out / RECORDS).mkdir(parents=True, exist_ok=True)
    (out / WORK).mkdir(exist_ok=True)
    failed = 0
    for number, scenario in enumerate(scenarios, 1):
        label = f'{number} of {len(scenarios)}, {scenario.name}'
        try:
            setup = _setup(plan, scenario, chosen, out, script)
            _measure(scenario, setup, plan, out, console, label, machine)
        except (GpuPerceptionError, OSError) as error:
            console.print(f'{label}: failed: {error}', markup=False)
            failed += 1
    report(out, console)
    return 1 if failed else 0


def _measure(
    scenario: Scenario,
    setup: Setup,
    plan: Plan,
    out: Path,
    console: Console,
    label: str,
    machine: dict[str, Any],
) -> None:
    """Measure a scenario; probes and record are kept at once, for runs that are cut off."""
    kept = out / WORK / f'{scenario.name}.probes.jsonl'
    kept.unlink(missing_ok=True)

    def probed(probe: Probe) -> None:
        with kept.open('a', encoding='utf-8') as file:
            file.write(json.dumps(probe.as_json()) + '\n')
        rate_hz = probe.playing.requested_hz
        console.print(f'{label}: {rate_hz:.1f} Hz {probe.verdict}, {probe.loss:.2%} lost')

    with console.status(label) as status:

        def told(text: str) -> None:
            status.update(f'{label}: {text}')

        with measured(scenario, setup, plan, told, probed) as record:
            record |= {'machine': machine, 'precision': setup.arithmetic}
            path = out / RECORDS / f'{scenario.name}.json'
            path.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
            peak_hz = record['BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION']
            console.print(f'{label}: {peak_hz:.1f} Hz')


def report(out: Path, console: Console) -> dict[str, Any]:
    """
    Write the report of all records of a folder, and print its tables.

    Parameters
    ----------
    out : pathlib.Path
        As :func:`run_bench` left it.
    console : rich.console.Console
        Where to write.

    Returns
    -------
    dict
        What ``bench.json`` holds.

    """
    paths = sorted((out / RECORDS).glob('*.json'))
    records = [json.loads(path.read_text(encoding='utf-8')) for path in paths]
    found = {'scenarios': records}
    (out / REPORT).write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    (out / PAGE).write_text(html_page(records), encoding='utf-8')
    print_tables(records, console)
    console.print(f'{out / REPORT}, {out / PAGE}', soft_wrap=True)
    return found


def _setup(plan: Plan, scenario: Scenario, device: str, out: Path, rivals: Path | None) -> Setup:
    folder = (out / WORK).resolve()
    networks = write_networks(
        folder,
        scenario.width,
        scenario.height,
        detector=plan.detector,
        classifier=plan.classifier,
    )
    return Setup(device, networks, folder, rivals, plan.precision)
