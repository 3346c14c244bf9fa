# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Accounts where there is no device memory to book: names, nesting and the way out."""

from __future__ import annotations

import threading

import pytest
import torch

from gpu_runtime.device_budget import BudgetReport
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.errors import LifecycleError
from gpu_runtime.memory_account import MemoryAccount
from gpu_runtime.memory_account import outside_accounts


@pytest.fixture
def budget() -> DeviceBudget:
    """Return a budget of the CPU."""
    return DeviceBudget(torch.device('cpu'))


def test_a_name_has_one_open_account(budget: DeviceBudget) -> None:
    account = budget.open('/detector')
    with pytest.raises(LifecycleError, match='/detector has an open memory account'):
        budget.open('/detector')
    budget.close_account(account)
    assert budget.open('/detector') is not account


def test_closing_an_old_account_leaves_the_new_one_of_its_name(budget: DeviceBudget) -> None:
    old = budget.open('/detector')
    budget.close_account(old)
    budget.open('/detector')
    budget.close_account(old)
    assert budget.close() == ['/detector']


def test_the_cpu_books_nothing(budget: DeviceBudget) -> None:
    account = budget.open('/a')
    with account.use():
        torch.ones(1000)
    assert account.nbytes == 0
    assert budget.report() == BudgetReport({'/a': 0}, 0, 0, 0)
    budget.trim()


def test_pools_are_looked_at_only_after_the_driver_was_asked(
    budget: DeviceBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or after an account came, went, or got another pool."""
    stats = {'num_device_alloc': 3, 'num_device_free': 1, 'reserved_bytes.all.current': 50}
    looked: list[str] = []

    def look(account: MemoryAccount) -> int:
        looked.append(account.name)
        return 7

    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (20, 80))
    monkeypatch.setattr(torch.cuda, 'memory_stats', lambda device: stats)
    monkeypatch.setattr(MemoryAccount, 'nbytes', property(look))
    monkeypatch.setattr(MemoryAccount, 'pools', property(lambda account: account._booked.copy()))
    account = budget.open('/a')
    budget.device = torch.device('cuda')
    for _ in range(3):
        assert budget.report() == BudgetReport({'/a': 7}, 50, 20, 80, peaks={'/a': 7})
    assert looked == ['/a']
    for change in (
        lambda: stats.update(num_device_alloc=4),
        lambda: stats.update(num_device_free=2),
        lambda: account.book((0, 9)),
    ):
        change()
        looked.clear()
        for _ in range(2):
            budget.report()
        assert looked == ['/a']
    budget.open('/b')
    assert budget.report().accounts == {'/a': 7, '/b': 7}


def test_close_names_open_accounts(budget: DeviceBudget) -> None:
    budget.open('/b')
    account = budget.open('/a')
    assert budget.close() == ['/a', '/b']
    budget.close_account(account)
    assert budget.close() == ['/b']


def test_use_nests_passes_errors_and_comes_back(budget: DeviceBudget) -> None:
    first, second = budget.open('/a'), budget.open('/b')
    with first.use():
        with second.use(), first.use(), outside_accounts() as left:
            assert left is first
        with outside_accounts() as left:
            assert left is first
        with pytest.raises(KeyError), second.use():
            raise KeyError
        with outside_accounts() as left:
            assert left is first
    with outside_accounts() as left:
        assert left is None


def test_threads_do_not_see_each_others_account(budget: DeviceBudget) -> None:
    seen: list[object] = []

    def look() -> None:
        with outside_accounts() as left:
            seen.append(left)

    with budget.open('/a').use():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [None]


def test_one_thread_at_a_time_uses_an_account(budget: DeviceBudget) -> None:
    account, other = budget.open('/a'), budget.open('/b')
    inside, release = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with account.use():
            inside.set()
            release.wait(10.0)
            order.append('first')

    def second() -> None:
        with account.use():
            order.append('second')

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(10.0)
    threads[1].start()
    with other.use():
        threads[1].join(0.05)
        assert order == []
    release.set()
    for thread in threads:
        thread.join(10.0)
    assert order == ['first', 'second']
