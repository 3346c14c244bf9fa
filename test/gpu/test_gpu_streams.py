# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Streams on a real device: one for each lease, current where it was entered, events on it."""

from __future__ import annotations

import threading

from context_bench import DEVICE
from context_bench import LONG_S
from latch import Latch
import pytest
import torch

from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.stream_pool import StreamPool

pytestmark = pytest.mark.gpu


def test_forty_leases_are_forty_streams(gpu: str) -> None:
    pool = StreamPool(DEVICE)
    leases = [pool.lease(str(number)) for number in range(40)]
    pointers = {lease.torch_stream.cuda_stream for lease in leases}
    assert len(pointers) == 40
    assert pointers == {lease.native.ptr for lease in leases}
    assert 0 not in pointers
    assert all(lease.native.is_non_blocking for lease in leases)
    for lease in leases:
        pool.release(lease)
    again = [pool.lease(str(number)) for number in range(40)]
    assert {lease.native.ptr for lease in again} == pointers
    assert len(pool.close()) == 40


def test_a_priority_has_its_own_streams(gpu: str) -> None:
    pool = StreamPool(DEVICE)
    urgent = pool.lease('urgent', priority=-1)
    assert urgent.native.priority == -1
    pool.release(urgent)
    usual = pool.lease('usual')
    assert (usual.native.priority, usual.native.ptr != urgent.native.ptr) == (0, True)
    assert pool.lease('urgent', priority=-1).native.ptr == urgent.native.ptr


def current() -> tuple[int, int]:
    """Return the calling thread's current streams of torch and of CuPy."""
    import cupy

    return torch.cuda.current_stream(DEVICE).cuda_stream, cupy.cuda.get_current_stream().ptr


def test_entering_binds_torch_and_cupy_on_this_thread_only(gpu: str) -> None:
    pool = StreamPool(DEVICE)
    outer, inner = pool.lease('outer'), pool.lease('inner')
    before = current()
    others: list[tuple[int, int]] = []
    with outer:
        assert current() == (outer.native.ptr,) * 2
        with inner:
            assert current() == (inner.native.ptr,) * 2
            with outer:
                assert current() == (outer.native.ptr,) * 2
            assert current() == (inner.native.ptr,) * 2
            thread = threading.Thread(target=lambda: others.append(current()))
            thread.start()
            thread.join()
        with pytest.raises(KeyError), inner:
            raise KeyError
        assert current() == (outer.native.ptr,) * 2
    assert current() == before
    assert others == [(0, 0)]


def test_an_event_that_nobody_holds_is_recorded_again(gpu: str) -> None:
    pool = StreamPool(DEVICE)
    stream = pool.lease('stage')
    held, gone = stream.record(), stream.record()
    raw = gone.raw
    del gone
    again = stream.record()
    assert again.raw == raw
    assert held.raw != raw
    again.wait_host()
    assert again.passed()
    pool.release(stream)


def test_events_measure_the_device(context: GpuContext) -> None:
    stream = context.streams.lease('stage')
    with stream:
        start = stream.record(timing=True)
        torch.cuda._sleep(20_000_000)
        end = stream.record(timing=True)
    end.wait_host()
    assert end.passed()
    assert 0.001 < end.seconds_since(start) < 1.0
    context.streams.release(stream)


def test_waiting_for_an_event_lets_other_threads_run(context: GpuContext) -> None:
    stream = context.streams.lease('stage')
    with Latch() as latch:
        latch.block(stream)
        event = stream.record()
        waiter = threading.Thread(target=event.wait_host)
        waiter.start()
        waiter.join(0.1)
        assert waiter.is_alive()
        latch.open()
        waiter.join(LONG_S)
        assert not waiter.is_alive()
        assert event.passed()
        assert not latch.timed_out
