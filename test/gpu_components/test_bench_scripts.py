# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The scripts beside the benchmark: floor table, the clock of the GIL."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
import io
import json
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console
import torch

BENCH = Path(__file__).resolve().parents[1] / 'bench'

WORK = """
import json, threading, time
import numpy as np
from gil_clock import GilClock

clock = GilClock()
source, target = np.ones(20_000_000, np.uint8), np.zeros(20_000_000, np.uint8)

def counting():
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        sum(range(1000))

def copying():
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        np.copyto(target, source)

def sleeping():
    time.sleep(0.3)

told = {}
for work in (counting, copying, sleeping):
    def run():
        before = clock.read()[threading.get_native_id()]
        work()
        spent = clock.read()[threading.get_native_id()].since(before)
        told[work.__name__] = spent.cpu_s, spent.under_s, spent.outside_s
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
print(json.dumps(told))
"""


@pytest.mark.skipif(shutil.which('cc') is None, reason='no C compiler')
def test_the_clock_tells_work_under_the_gil_from_work_outside() -> None:
    """Counting holds it, a copy of NumPy lets go of it, sleeping takes no time of either."""
    done = subprocess.run(
        [sys.executable, '-c', WORK],
        cwd=BENCH,
        capture_output=True,
        text=True,
        timeout=100.0,
        check=True,
    )
    told = json.loads(done.stdout)
    cpu_s, under_s, _ = told['counting']
    assert under_s > 0.95 * cpu_s > 0.2
    cpu_s, _, outside_s = told['copying']
    assert outside_s > 0.9 * cpu_s > 0.2
    assert told['sleeping'][0] < 0.1


@pytest.fixture
def floor_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the script so that its parts run in this process, on one thread."""
    import floor_table

    def here(part: str, request: dict[str, Any], folder: Path) -> dict[str, Any]:
        return dict(floor_table.measure_part(part, **request))

    monkeypatch.setattr(floor_table, '_in_a_process', here)
    threads = torch.get_num_threads()
    yield floor_table
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_floor_table_compares_like_with_like(floor_table: Any) -> None:
    """Stage and naive node answer the same, and what a CPU cannot tell is named."""
    report = floor_table.run(Namespace(device='cpu', tiny=True, repeats=1, precision='fp32'))
    assert report['not_measured'] == ['captured networks', 'device memory']
    assert all(held == [None] for held in report['device_mib'].values())
    (bare,), (ours,), (naive,) = (report['ms'][part] for part in floor_table.PARTS)
    assert set(ours) - {floor_table.OVERLAPPED} == set(naive) == set(floor_table.ROWS)
    assert set(bare['floor']) == set(naive)
    assert set(bare['network']) == set(naive) - {'memory_manager'}  # it has no network
    assert min(*bare['floor'].values(), *ours.values(), *naive.values()) > 0.0
    assert min(bare['network'].values()) > 0.0
    (told,) = report['compared']
    assert told['memory_manager']['memory_managed_output'].startswith('differs by at most 0 steps')
    assert told['depth_segmentation']['gpu_semantic_map'].startswith('100.00%')
    processed = told['image_processor']['processed_image']
    assert float(processed.removeprefix('differs by at most ').split()[0]) <= 1.0
    assert told['image_classifier']['class'].startswith('same best class')
    printed = io.StringIO()
    Console(width=200, file=printed).print(floor_table.table(report, 0))
    assert 'NOT captured' in printed.getvalue()
    assert 'the CPU' in printed.getvalue()
