# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The basic measurements run on a CPU alone, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys
import time

import pytest
import torch

from gpu_components.cli import main
from gpu_runtime.bench_basics import Figure
from gpu_runtime.bench_basics import measure
from gpu_runtime.bench_basics import median_s
from gpu_runtime.bench_basics import WARM_UP

SCRIPT = Path(__file__).resolve().parents[1] / 'bench' / 'performance_test.py'
CPU = torch.device('cpu')


def test_the_median_leaves_the_warm_up_out() -> None:
    """Slow first calls and one slow call later do not show."""
    calls = iter([0.05] * WARM_UP + [0.0, 0.05, 0.0])
    assert median_s(lambda: time.sleep(next(calls)), CPU, 3) < 0.02
    assert next(calls, None) is None


def test_a_cpu_gives_all_figures_that_need_no_gpu() -> None:
    figures = list(measure(CPU, repeats=1))
    assert {figure.group for figure in figures} == {'tensor creation', 'inference', 'bandwidth'}
    assert {figure.device for figure in figures} == {'cpu'}
    assert all(figure.median_s > 0.0 for figure in figures)
    assert all((figure.group == 'bandwidth') == (figure.gb_per_s > 0.0) for figure in figures)


def test_bandwidth_is_bytes_per_nanosecond() -> None:
    assert Figure('bandwidth', 'x', 'gpu', 1e-3, 25_000_000).gb_per_s == pytest.approx(25.0)


def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['bench', 'basics', '--device', 'cuda:99']) == 2
    assert 'nvidia-smi' in capsys.readouterr().err


def test_the_script_prints_json() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), '--device', 'cpu', '--json'],
        capture_output=True,
        text=True,
        timeout=100.0,
        check=True,
    )
    report = json.loads(done.stdout)
    assert report['device'] == 'cpu'
    assert report['gpu_memory'] is None
    assert len(report['figures']) == 7
