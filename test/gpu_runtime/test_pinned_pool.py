# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Slabs are exact, used again when their copy is over, and never by two at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gpu_runtime.event import Event
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.pinned_pool import PinnedReport


class Pending(Event):
    """An event that passes when the test says so, as one of a busy device would."""

    __slots__ = ('done',)

    def __init__(self) -> None:
        super().__init__()
        self.done = False

    def passed(self) -> bool:
        """Return what the test set."""
        return self.done


@pytest.fixture
def pool() -> PinnedPool:
    """Return a pool of plain memory."""
    return PinnedPool(torch.device('cpu'))


@pytest.mark.parametrize('nbytes', [0, 1, 1000, 921601])
def test_a_slab_has_the_exact_size_and_one_memory(pool: PinnedPool, nbytes: int) -> None:
    slab = pool.lease(nbytes)
    view = slab.view(torch.int8, torch.Size([nbytes]))
    assert slab.array.nbytes == view.nbytes == nbytes
    slab.array[:] = 7
    assert (view == 7).all()
    assert pool.report() == PinnedReport(nbytes, 1, 1, 1)


def test_a_returned_slab_is_used_again_for_its_size_only(pool: PinnedPool) -> None:
    slab = pool.lease(100)
    pool.release(slab, Event())
    assert pool.lease(101) is not slab
    assert pool.lease(100) is slab
    assert pool.report().allocations == 2


def test_a_slab_waits_for_its_event(pool: PinnedPool) -> None:
    slab, pending = pool.lease(100), Pending()
    pool.release(slab, pending)
    other = pool.lease(100)
    assert other is not slab
    pending.done = True
    assert pool.lease(100) is slab
    assert pool.report() == PinnedReport(200, 2, 2, 2)


def test_a_second_return_changes_nothing(pool: PinnedPool) -> None:
    slab, pending = pool.lease(100), Pending()
    pool.release(slab, pending)
    pool.release(slab, Event())
    assert slab.after is pending
    assert pool.lease(100) is not slab
    pending.done = True
    assert pool.lease(100) is slab
    assert pool.lease(100) is not slab


def test_reserve_fills_the_shelf_once(pool: PinnedPool) -> None:
    pool.reserve(500, 3)
    pool.reserve(500, 2)
    assert pool.report() == PinnedReport(1500, 3, 0, 3)
    leases = [pool.lease(500) for _ in range(3)]
    assert len({id(lease) for lease in leases}) == 3
    assert pool.report().allocations == 3


def test_trim_frees_what_is_idle(pool: PinnedPool) -> None:
    idle, busy, out = pool.lease(10), pool.lease(10), pool.lease(10)
    pool.release(idle, Event())
    pool.release(busy, Pending())
    assert pool.trim() == 10
    assert pool.trim() == 0
    assert pool.report() == PinnedReport(20, 2, 1, 3)
    pool.release(out, Event())


def test_close_describes_what_never_came_back(pool: PinnedPool) -> None:
    kept = pool.lease(123)
    pool.release(pool.lease(5), Event())
    assert pool.close() == ['pinned slab of 123 bytes']
    assert pool.report() == PinnedReport(123, 1, 1, 2)
    assert kept.array.nbytes == 123


def test_no_two_threads_get_one_slab(pool: PinnedPool) -> None:
    def work(number: int) -> None:
        for turn in range(500):
            slab = pool.lease(4096)
            slab.array[:] = number
            assert bool(np.all(slab.array == number)), turn
            pool.release(slab, Event())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    report = pool.report()
    assert report.leased == 0
    assert report.slabs == report.allocations <= 4


def test_the_report_tells_who_holds_what() -> None:
    pool = PinnedPool(torch.device('cpu'))
    pool.lease(100, '/detector')
    pool.lease(50, '/depth')
    pool.release(pool.lease(10, '/depth'), Event())
    assert pool.report().by_owner == {'/detector': 100, '/depth': 60}


def test_a_view_of_a_slab_is_made_once(pool: PinnedPool) -> None:
    slab = pool.lease(24)
    floats = slab.view(torch.float32, torch.Size((2, 3)))
    assert (floats.shape, floats.dtype, floats.ctypes.data) == ((2, 3), np.float32, slab.address)
    floats[:] = 1.5
    assert slab.array.view(np.float32).tolist() == [1.5] * 6
    assert slab.view(torch.float32, torch.Size((2, 3))) is floats
    assert slab.view(torch.float32, torch.Size((3, 2))).shape == (3, 2)
    assert slab.view(torch.uint8, torch.Size((24,))).tolist() == slab.array.tolist()
    empty = pool.lease(0).view(torch.float16, torch.Size((0, 4)))
    assert (empty.shape, empty.dtype) == ((0, 4), np.float16)
