# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The runtime on a real device: nobody waits, nothing is allocated twice, everything comes back.

A latch keeps a stream busy while a call is made; the call must return at once, with its work still
undone.  Everything that runs beside a latch has run before: first uses load kernels and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
import gc
from pathlib import Path
import subprocess
import sys
import threading
import time

from latch import Latch
import numpy as np
import pytest
import torch

from gpu_runtime.fit import Fit
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.memory_account import outside_accounts
from gpu_runtime.stream import Stream
from gpu_runtime.stream_pool import StreamPool
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform

pytestmark = pytest.mark.gpu

PROJECT = Path(__file__).resolve().parents[2]
DEVICE = torch.device('cuda', 0)
FORMAT = ImageFormat(640, 480, 'rgb8', 1920)
SPEC = TensorSpec(416, 416, Fit.LETTERBOX_CENTER)
HEADER = Header(1, 'camera')
AT_ONCE_S = 0.05
LONG_S = 10.0
MIB = 1 << 20


def picture(seed: int) -> bytes:
    """Return noise of the size of a picture."""
    return np.random.default_rng(seed).bytes(FORMAT.nbytes)


def expected(data: bytes) -> torch.Tensor:
    """Return what the oracle makes of a picture."""
    host = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return TorchTransform(torch.device('cpu'))(host, FORMAT, SPEC).tensor


def reserved() -> int:
    """Return what torch holds of the device, cached memory given back."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(DEVICE)


@pytest.fixture
def context(gpu: str) -> Iterator[GpuContext]:
    """Return a context whose memory, kernels and pools are warm."""
    context = GpuContext(str(gpu))
    context.pinned.reserve(FORMAT.nbytes, 60)
    stages = [context.streams.lease('warm up'), context.streams.lease('warm up')]
    frames = [context.frame(HEADER, FORMAT, picture(0)) for _ in range(8)]
    for stage in stages:
        for frame in frames:
            run(context, frame, stage)
    del frames, frame
    for stage in stages:
        context.streams.release(stage)
    torch.cuda.synchronize()
    yield context
    context.close()


def run(context: GpuContext, frame: Frame, stage: Stream) -> torch.Tensor:
    """Do what a stage and its egress do with a frame; return the prepared tensor on the host."""
    with stage:
        copied = frame.use(stage).clone()
        prepared = frame.tensor(SPEC, stage)
        download = context.transfers.download((prepared.tensor, copied), stage)
    download.wait()
    result = torch.from_numpy(download.arrays[0].copy())
    download.release()
    return result


# -- streams -----------------------------------------------------------------------------------


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


# -- copies ------------------------------------------------------------------------------------


def test_upload_does_not_wait_for_the_device(context: GpuContext) -> None:
    data = picture(1)
    with Latch() as latch:
        latch.block(context.transfers._stream)
        begin = time.perf_counter()
        tensor, ready = context.transfers.upload(data, len(data))
        seconds = time.perf_counter() - begin
        assert not ready.passed()
        assert seconds < AT_ONCE_S
        latch.open()
        ready.wait_host()
        assert not latch.timed_out
    assert tensor.cpu().numpy().tobytes() == data


def test_a_picture_may_be_overwritten_when_upload_returns(context: GpuContext) -> None:
    data = picture(2)
    buffer = bytearray(b'1234' + data)
    with Latch() as latch:
        latch.block(context.transfers._stream)
        tensor, ready = context.transfers.upload(buffer, len(data), offset=4)
        buffer[:] = bytes(len(buffer))
        latch.open()
        ready.wait_host()
    assert tensor.cpu().numpy().tobytes() == data


def test_a_frame_is_awaited_by_the_stream_not_by_the_thread(context: GpuContext) -> None:
    data, stage = picture(3), context.streams.lease('stage')
    with Latch() as latch:
        latch.block(context.transfers._stream)
        begin = time.perf_counter()
        frame = context.frame(HEADER, FORMAT, data)
        with stage:
            tensor = frame.tensor(SPEC, stage).tensor
            done = stage.record()
        seconds = time.perf_counter() - begin
        assert not frame.ready.passed()
        assert not done.passed()
        assert seconds < AT_ONCE_S
        latch.open()
        done.wait_host()
        assert not latch.timed_out
    torch.testing.assert_close(tensor.cpu(), expected(data), rtol=0, atol=1 / 255)


def test_a_second_stage_waits_on_the_device_for_the_first(context: GpuContext) -> None:
    data = picture(4)
    first, second = context.streams.lease('first'), context.streams.lease('second')
    frame = context.frame(HEADER, FORMAT, data)
    with Latch() as latch:
        latch.block(first)
        with first:
            prepared = frame.tensor(SPEC, first)
        begin = time.perf_counter()
        with second:
            shared = frame.tensor(SPEC, second)
            done = second.record()
        seconds = time.perf_counter() - begin
        assert shared.tensor is prepared.tensor
        assert not done.passed()
        assert seconds < AT_ONCE_S
        latch.open()
        done.wait_host()
        assert not latch.timed_out
    torch.testing.assert_close(shared.tensor.cpu(), expected(data), rtol=0, atol=1 / 255)


def test_download_does_not_wait_for_the_device(context: GpuContext) -> None:
    stage = context.streams.lease('stage')
    with stage:
        source = torch.arange(FORMAT.nbytes, device=DEVICE).to(torch.uint8)
        context.transfers.download((source + 1,), stage).wait()
    context.pinned.reserve(FORMAT.nbytes, 2)
    with Latch() as latch:
        latch.block(stage)
        begin = time.perf_counter()
        with stage:
            download = context.transfers.download((source + 1,), stage)
        seconds = time.perf_counter() - begin
        assert not download.event.passed()
        assert seconds < AT_ONCE_S
        latch.open()
        download.wait()
        assert not latch.timed_out
    expected_bytes = (np.arange(FORMAT.nbytes) + 1).astype(np.uint8)
    np.testing.assert_array_equal(download.arrays[0], expected_bytes)


def test_download_keeps_shape_and_type(context: GpuContext) -> None:
    stage = context.streams.lease('stage')
    with stage:
        tensors = (
            torch.arange(12, dtype=torch.float32, device=DEVICE).reshape(3, 4).T,
            torch.tensor(5, device=DEVICE),
            torch.zeros((0, 4), dtype=torch.float16, device=DEVICE),
            torch.tensor([True, False], device=DEVICE),
        )
        download = context.transfers.download(tensors, stage)
    download.wait()
    for tensor, got in zip(tensors, download.arrays, strict=True):
        assert got.shape == tuple(tensor.shape)
        np.testing.assert_array_equal(got, tensor.cpu().numpy())
    download.release()


# -- steady state ------------------------------------------------------------------------------


def rounds(context: GpuContext, stages: list[Stream], count: int, data: bytes) -> None:
    """Send pictures through stages that share a prepared tensor."""
    for _ in range(count):
        frame = context.frame(HEADER, FORMAT, data)
        for stage in stages:
            run(context, frame, stage)


def test_two_hundred_frames_allocate_nothing_and_never_synchronise(context: GpuContext) -> None:
    stages = [context.streams.lease('a'), context.streams.lease('b')]
    data = picture(5)
    rounds(context, stages, 20, data)
    device_before = torch.cuda.memory_stats(DEVICE)['num_device_alloc']
    pinned_before = context.pinned.report()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            rounds(context, stages, 200, data)
        except BaseException as error:
            errors.append(error)

    torch.cuda.set_sync_debug_mode('error')
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60.0)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert not thread.is_alive()
    assert errors == []
    assert torch.cuda.memory_stats(DEVICE)['num_device_alloc'] == device_before
    assert context.pinned.report() == pinned_before


def test_frames_are_recycled_while_another_thread_prepares(context: GpuContext) -> None:
    stages = [context.streams.lease('a'), context.streams.lease('b')]
    account = context.budget.open('/preparing')
    inside, leave = threading.Event(), threading.Event()

    def prepare() -> None:
        with account.use():
            inside.set()
            leave.wait(60.0)

    data = picture(6)
    rounds(context, stages, 20, data)
    thread = threading.Thread(target=prepare)
    thread.start()
    try:
        assert inside.wait(LONG_S)
        before = torch.cuda.memory_stats(DEVICE)
        rounds(context, stages, 100, data)
        after = torch.cuda.memory_stats(DEVICE)
    finally:
        leave.set()
        thread.join()
    assert after['num_device_alloc'] == before['num_device_alloc']
    assert after['active_bytes.all.current'] <= before['active_bytes.all.current'] + 20 * MIB


@pytest.mark.parametrize('prepared', [False, True], ids=['data', 'prepared'])
def test_memory_is_not_used_again_while_a_slow_stream_reads_it(
    context: GpuContext, prepared: bool
) -> None:
    fast, slow = context.streams.lease('fast'), context.streams.lease('slow')
    data = picture(7)
    frame = context.frame(HEADER, FORMAT, data)
    with fast:
        frame.tensor(SPEC, fast)
    with slow:
        warm = (frame.use(slow).clone(), frame.tensor(SPEC, slow).tensor.clone())
    torch.cuda.synchronize()
    del warm
    with Latch() as latch:
        latch.block(slow)
        with slow:
            source = frame.tensor(SPEC, slow).tensor if prepared else frame.use(slow)
            result = source.clone()
            done = slow.record()
        del frame, source
        for _ in range(50):
            other = context.frame(HEADER, FORMAT, bytes(FORMAT.nbytes))
            with fast:
                other.tensor(SPEC, fast)
            # Complete before it goes, so that its memory is the first to be handed out again.
            fast.record().wait_host()
        assert not done.passed()
        latch.open()
        done.wait_host()
        assert not latch.timed_out
    if prepared:
        torch.testing.assert_close(result.cpu(), expected(data), rtol=0, atol=1 / 255)
    else:
        assert result.cpu().numpy().tobytes() == data


def test_what_a_stream_retains_outlives_its_lease(context: GpuContext) -> None:
    slow = context.streams.lease('slow')
    data = picture(8)
    frame = context.frame(HEADER, FORMAT, data)
    with slow:
        frame.use(slow).clone()
    torch.cuda.synchronize()
    with Latch() as latch:
        latch.block(slow)
        with slow:
            result = frame.use(slow).clone()
            done = slow.record()
        context.streams.release(slow)
        del frame, slow
        gc.collect()
        for _ in range(50):
            context.frame(HEADER, FORMAT, bytes(FORMAT.nbytes)).ready.wait_host()
        assert not done.passed()
        latch.open()
        done.wait_host()
    assert result.cpu().numpy().tobytes() == data


# -- memory ------------------------------------------------------------------------------------


def test_cupy_allocates_from_torch(context: GpuContext) -> None:
    import cupy

    stage = context.streams.lease('stage')
    pool_before = cupy.get_default_memory_pool().total_bytes()
    before = torch.cuda.memory_allocated(DEVICE)
    with stage:
        array = cupy.zeros(8 * MIB, cupy.uint8)
    stage.record().wait_host()
    assert torch.cuda.memory_allocated(DEVICE) >= before + 8 * MIB
    assert cupy.get_default_memory_pool().total_bytes() == pool_before
    del array
    assert torch.cuda.memory_allocated(DEVICE) == before


def test_an_account_knows_its_bytes_and_gives_them_back(context: GpuContext) -> None:
    before = reserved()
    account = context.budget.open('/detector')
    with account.use():
        tensor = torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE)
    outside = torch.empty(32 * MIB, dtype=torch.uint8, device=DEVICE)
    assert 64 * MIB <= account.nbytes < 96 * MIB
    report = context.budget.report()
    assert report.accounts == {'/detector': account.nbytes}
    assert report.reserved >= before + 96 * MIB
    assert 0 < report.free < report.total
    del tensor, outside
    assert account.nbytes >= 64 * MIB
    context.budget.close_account(account)
    assert account.nbytes == 0
    assert reserved() == before


def test_memory_of_a_closed_account_returns_with_its_last_tensor(context: GpuContext) -> None:
    before = reserved()
    account = context.budget.open('/detector')
    with account.use():
        tensor = torch.full((64 * MIB,), 7, dtype=torch.uint8, device=DEVICE)
    context.budget.close_account(account)
    assert int(tensor.sum()) == 7 * 64 * MIB
    assert reserved() >= before + 64 * MIB
    del tensor
    context.budget.trim()
    assert reserved() == before


def test_memory_outside_accounts_is_not_booked(context: GpuContext) -> None:
    account = context.budget.open('/detector')
    with account.use():
        with outside_accounts() as left:
            outside = torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE)
        inside = torch.empty(32 * MIB, dtype=torch.uint8, device=DEVICE)
    assert left is account
    assert inside.numel() <= account.nbytes < outside.numel()


def test_two_threads_book_on_two_accounts(context: GpuContext) -> None:
    accounts = [context.budget.open('/a'), context.budget.open('/b')]
    sizes, barrier, kept = (32 * MIB, 128 * MIB), threading.Barrier(2), []

    def work(number: int) -> None:
        stream = context.streams.lease(str(number))
        with accounts[number].use(), stream:
            for _ in range(4):
                barrier.wait(LONG_S)
                size = sizes[number] // 4
                kept.append(torch.empty(size, dtype=torch.uint8, device=DEVICE))
            barrier.wait(LONG_S)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert len(kept) == 8
    for account, size in zip(accounts, sizes, strict=True):
        assert size <= account.nbytes < size + 24 * MIB


def test_two_threads_take_turns_on_one_account(context: GpuContext) -> None:
    account = context.budget.open('/a')
    kept: list[torch.Tensor] = []

    def work() -> None:
        for _ in range(20):
            with account.use():
                kept.append(torch.empty(4 * MIB, dtype=torch.uint8, device=DEVICE))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert len(kept) == 60
    assert account.nbytes >= 240 * MIB
    kept.clear()
    context.budget.close_account(account)


CLOSE_BESIDE_USE = """
import threading
import torch
from gpu_runtime.gpu_context import GpuContext

context = GpuContext('cuda:0')
busy, idle = context.budget.open('/busy'), context.budget.open('/idle')
with idle.use():
    tensor = torch.zeros(64 << 20, dtype=torch.uint8, device='cuda:0')
del tensor
torch.cuda.synchronize()
before = torch.cuda.memory_reserved()
inside, leave = threading.Event(), threading.Event()

def prepare():
    with busy.use():
        inside.set()
        leave.wait(20)

thread = threading.Thread(target=prepare)
thread.start()
inside.wait(20)
context.budget.close_account(idle)
leave.set()
thread.join()
context.budget.trim()
assert torch.cuda.memory_reserved() <= before - (64 << 20), torch.cuda.memory_reserved()
with context.capture_lock:
    context.budget.close_account(busy)
context.budget.trim()
assert context.close() == []
print('survived')
"""


def test_closing_an_account_beside_one_in_use_ends_no_process(gpu: str) -> None:
    # In a process of its own: torch would end this one (see gpu_runtime/memory_pools.py).
    done = subprocess.run(
        [sys.executable, '-c', CLOSE_BESIDE_USE],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=100.0,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, 'survived'), done.stderr[-2000:]


def test_a_graph_is_captured_while_another_thread_allocates(context: GpuContext) -> None:
    account, stage = context.budget.open('/other'), context.streams.lease('stage')
    static = torch.ones(1024, device=DEVICE)
    capture_stream = torch.cuda.Stream(DEVICE)
    torch.cuda.synchronize()
    kept: list[torch.Tensor] = []

    def allocate() -> None:
        with account.use(), stage:
            kept.append(torch.empty(96 * MIB, dtype=torch.uint8, device=DEVICE))

    graph = torch.cuda.CUDAGraph()
    with context.capture_lock, torch.cuda.stream(capture_stream):
        static.mul(2.0).add(1.0)
        capture_stream.synchronize()
        graph.capture_begin(capture_error_mode='thread_local')
        try:
            doubled = static.mul(2.0)
            thread = threading.Thread(target=allocate)
            thread.start()
            thread.join(30.0)
            result = doubled.add(1.0)
        finally:
            graph.capture_end()
    assert len(kept) == 1
    assert 96 * MIB <= account.nbytes < 128 * MIB
    static.fill_(5.0)
    torch.cuda.synchronize()
    graph.replay()
    torch.cuda.synchronize()
    assert result.cpu().tolist() == [11.0] * 1024
    kept.clear()
    context.budget.close_account(account)


# -- the end -----------------------------------------------------------------------------------


def test_close_returns_the_memory_and_names_the_leaks(gpu: str) -> None:
    before = reserved()
    context = GpuContext(str(gpu))
    stages = [context.streams.lease('/kept'), context.streams.lease('/returned')]
    rounds(context, stages, 10, picture(9))
    assert torch.cuda.memory_reserved(DEVICE) > before
    context.streams.release(stages[1])
    slab = context.pinned.lease(1000)
    context.budget.open('/open')
    assert context.close() == [
        'stream /kept',
        'pinned slab of 1000 bytes',
        'memory account /open',
    ]
    assert slab.array.nbytes == 1000
    assert context.close() == []
    assert reserved() == before


def test_a_frame_may_outlive_its_context(gpu: str) -> None:
    before = reserved()
    context = GpuContext(str(gpu))
    stage = context.streams.lease('stage')
    frame = context.frame(HEADER, FORMAT, picture(10))
    run(context, frame, stage)
    context.streams.release(stage)
    del stage
    assert context.close() == []
    assert frame.data.cpu().numpy().tobytes() == picture(10)
    del frame, context
    assert reserved() == before
