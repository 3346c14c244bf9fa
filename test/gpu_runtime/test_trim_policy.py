# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Limits, reports and the rule for trimming, where there is no device memory to move."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from gpu_runtime.card_memory import read_card
from gpu_runtime.device_budget import BudgetReport
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.errors import CudaError
from gpu_runtime.memory_limits import MemoryLimits
from gpu_runtime.trim_policy import TrimPolicy

POLICY = TrimPolicy(high_watermark=0.8, rest_s=10.0)


def report(**changed: object) -> BudgetReport:
    """Return 300 of 1000 bytes reserved, 200 of them allocated."""
    values = {'accounts': {}, 'reserved': 300, 'free': 700, 'total': 1000, 'allocated': 200}
    return BudgetReport(**{**values, **changed})  # type: ignore[arg-type]


def test_nothing_is_trimmed_below_the_watermark() -> None:
    assert not POLICY.due(report(), 1e9)
    assert not POLICY.due(report(free=200), 1e9)


def test_a_full_card_or_a_full_cap_is_trimmed() -> None:
    assert POLICY.due(report(free=199), 1e9)
    assert POLICY.due(report(cap=370), 1e9)
    assert not POLICY.due(report(cap=380), 1e9)


def test_an_account_over_its_limit_is_trimmed() -> None:
    over = report(accounts={'/a': 60, '/b': 60}, limits={'/a': 50, '/b': 60})
    assert over.over_limit() == {'/a': 10}
    assert POLICY.due(over, 1e9)


def test_not_too_often_not_for_nothing_and_not_if_forbidden() -> None:
    full = report(free=0)
    assert not POLICY.due(full, 9.9)
    assert not POLICY.due(report(free=0, allocated=300), 1e9)
    assert not TrimPolicy(0.0, 0.0).due(full, 1e9)


def test_limits_are_found_by_full_and_by_bare_name_and_lifted() -> None:
    budget = DeviceBudget(torch.device('cpu'))
    for name in ('/left/detector', '/right/detector', '/depth'):
        budget.open(name)
    limits = MemoryLimits(budget)
    limits.set({'detector': 5, '/right/detector': 7}, process=100)
    told = budget.report()
    assert told.limits == {'/left/detector': 5, '/right/detector': 7}
    assert told.cap == 100
    assert told.over_limit() == {}
    limits.close()
    assert (budget.report().limits, budget.report().cap) == ({}, 0)


def test_a_cpu_is_never_full() -> None:
    empty = DeviceBudget(torch.device('cpu')).report()
    assert (empty.used_fraction, empty.cached) == (0.0, 0)
    assert DeviceBudget(torch.device('cpu')).trim() == 0


def test_a_cpu_has_no_card() -> None:
    with pytest.raises(CudaError, match='expected cuda:N'):
        read_card(torch.device('cpu'))


def test_what_lacks_for_the_card_is_named() -> None:
    """Without the package or without a driver, the remedy is told."""
    if torch.cuda.is_available():
        pytest.skip('needs a machine without CUDA device')
    missing = importlib.util.find_spec('pynvml') is None
    with pytest.raises(CudaError, match='nvidia-ml-py' if missing else 'nvidia-smi'):
        read_card(torch.device('cuda', 0))
