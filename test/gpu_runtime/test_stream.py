# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Streams and events where there is no GPU: the same contract, nothing to wait for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import time

import pytest
import torch

from gpu_runtime.errors import LifecycleError
from gpu_runtime.event import Event
from gpu_runtime.stream_pool import StreamPool

CPU = torch.device('cpu')


def test_an_event_of_the_cpu_has_always_passed() -> None:
    event = Event()
    assert event.passed()
    assert event.raw == 0
    event.wait_host()


def test_seconds_between_two_events() -> None:
    stream = StreamPool(CPU).lease('a')
    start = stream.record(timing=True)
    time.sleep(0.02)
    end = stream.record(timing=True)
    assert 0.02 <= end.seconds_since(start) < 5.0
    assert start.seconds_since(end) == -end.seconds_since(start)


def test_a_stream_can_be_entered_twice_and_by_several_threads() -> None:
    stream = StreamPool(CPU).lease('a')

    def work(_: int) -> int:
        with stream as outer, stream as inner:
            assert outer is inner is stream
            return int(torch.ones(10).sum())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [10] * 8


def test_an_error_passes_through_and_the_stream_stays_usable() -> None:
    stream = StreamPool(CPU).lease('a')
    with pytest.raises(KeyError), stream:
        raise KeyError
    with stream:
        stream.wait(stream.record())


def test_every_lease_is_another_object_and_shows_its_name() -> None:
    pool = StreamPool(CPU)
    leases = [pool.lease(f's{n:02}', priority=-(n % 2)) for n in range(40)]
    assert len({id(lease) for lease in leases}) == 40
    assert pool.leased() == [f's{n:02}' for n in range(40)]
    assert all(lease.native is None and lease.torch_stream is None for lease in leases)
    for lease in leases:
        pool.release(lease)
    assert pool.leased() == []


def test_a_lease_is_given_back_once_and_to_its_own_pool() -> None:
    pool, other = StreamPool(CPU), StreamPool(CPU)
    lease = pool.lease('mine')
    with pytest.raises(LifecycleError, match="'mine' is not leased"):
        other.release(lease)
    pool.release(lease)
    with pytest.raises(LifecycleError, match="'mine' is not leased"):
        pool.release(lease)


def test_close_names_the_leases_that_are_out() -> None:
    pool = StreamPool(CPU)
    returned = pool.lease('returned')
    kept = [pool.lease('b'), pool.lease('a')]
    pool.release(returned)
    assert pool.close() == ['a', 'b']
    assert [lease.name for lease in kept] == ['b', 'a']


def test_threads_lease_and_release_without_mixing() -> None:
    pool = StreamPool(CPU)

    def work(number: int) -> None:
        for turn in range(300):
            lease = pool.lease(f'{number}/{turn}')
            assert lease.name in pool.leased()
            pool.release(lease)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert pool.close() == []
