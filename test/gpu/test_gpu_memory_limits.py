# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Limits and trims with real device memory."""

from __future__ import annotations

from collections.abc import Iterator
import gc
import importlib.util

import pytest
import torch

from gpu_runtime.card_memory import read_card
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.errors import OutOfDeviceMemory

pytestmark = pytest.mark.gpu

DEVICE = torch.device('cuda', 0)
MIB = 1 << 20


@pytest.fixture
def budget() -> Iterator[DeviceBudget]:
    """Return a budget, and lift its cap afterwards."""
    gc.collect()
    torch.cuda.empty_cache()
    budget = DeviceBudget(DEVICE)
    yield budget
    budget.cap(0)
    gc.collect()
    budget.close()


def weights(mib: int) -> torch.Tensor:
    """Return that much device memory."""
    return torch.zeros(mib * MIB, dtype=torch.uint8, device=DEVICE)


def test_what_a_swap_replaces_goes_back_to_the_device(budget: DeviceBudget) -> None:
    """Two models while one is prepared aside; one once the other is dropped and trimmed."""
    account = budget.open('/detector')
    with account.use():
        old = weights(64)
    assert account.nbytes == 64 * MIB
    with account.use():
        new = weights(32)
    assert account.nbytes == 96 * MIB
    del old
    torch.cuda.synchronize()
    assert budget.trim() >= 64 * MIB
    assert account.nbytes == 32 * MIB
    assert new.numel() == 32 * MIB
    del new
    budget.close_account(account)


def test_what_warming_up_took_is_not_kept(budget: DeviceBudget) -> None:
    """Only what is alive after the block stays with the account."""
    account = budget.open('/detector')
    with account.use():
        kept = weights(32)
        scratch = weights(256)
        del scratch
    budget.trim()
    assert account.nbytes == kept.numel()
    del kept
    budget.close_account(account)


def test_a_component_cannot_prepare_beyond_its_limit(budget: DeviceBudget) -> None:
    """The refusal names the limit; what was prepared before stays."""
    account = budget.open('/ns/detector')
    budget.limit({'detector': 48 * MIB})
    with account.use():
        kept = weights(32)
    with pytest.raises(OutOfDeviceMemory, match='limit is 48 MiB'), account.use():
        refused = weights(32)
    del refused
    torch.cuda.synchronize()
    budget.trim()
    told = budget.report()
    assert told.accounts == {'/ns/detector': 32 * MIB}
    assert told.peaks == {'/ns/detector': 32 * MIB}
    assert not told.over_limit()
    budget.limit({'detector': 16 * MIB})
    assert budget.report().over_limit() == {'/ns/detector': 16 * MIB}
    del kept
    budget.close_account(account)


def test_the_cap_holds_for_the_whole_process(budget: DeviceBudget) -> None:
    """The allocator refuses what goes beyond, and gives it once the cap is lifted."""
    budget.cap(budget.report().reserved + 64 * MIB)
    with pytest.raises(torch.OutOfMemoryError):
        weights(256)
    budget.cap(0)
    assert weights(256).numel() == 256 * MIB


def test_report_tells_cached_memory(budget: DeviceBudget) -> None:
    """What a dropped tensor leaves is cached until it is trimmed."""
    before = budget.report()
    data = weights(64)
    assert budget.report().allocated - before.allocated == 64 * MIB
    del data
    assert budget.report().cached >= 64 * MIB
    assert budget.trim() >= 64 * MIB
    assert budget.report().peak >= before.reserved + 64 * MIB
    assert 0.0 < budget.report().used_fraction < 1.0


@pytest.mark.skipif(importlib.util.find_spec('pynvml') is None, reason='no nvidia-ml-py')
def test_the_driver_tells_the_whole_card() -> None:
    """NVML and CUDA agree on the size of the card."""
    card = read_card(DEVICE)
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    assert total * 0.95 < card.total < total * 1.1
    assert 0 < card.used < card.total
    assert card.cuda >= (12, 0)
    assert card.driver
