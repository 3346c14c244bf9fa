# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A context on a real device: nothing is allocated twice, everything comes back.

A latch keeps a stream busy while a call is made; the call must return at once, with its work still
undone.  Everything that runs beside a latch has run before: first uses load kernels and memory.
"""

from __future__ import annotations

import gc
import threading

from context_bench import DEVICE
from context_bench import expected
from context_bench import FORMAT
from context_bench import HEADER
from context_bench import LONG_S
from context_bench import MIB
from context_bench import picture
from context_bench import reserved
from context_bench import rounds
from context_bench import run
from context_bench import SPEC
from cuda.bindings import runtime
import cupy
from latch import Latch
import pytest
import torch

from gpu_runtime.device import STACK_BYTES
from gpu_runtime.gpu_context import GpuContext

pytestmark = pytest.mark.gpu


_SCATTERED = cupy.RawKernel(
    """
    extern "C" __global__ void scattered(const int* order, int* out) {
        int kept[512];  // two KiB of the thread's own memory, since indices are not known
        for (int i = 0; i < 512; ++i) kept[i] = i * (threadIdx.x + 1);
        out[blockIdx.x * blockDim.x + threadIdx.x] = kept[order[threadIdx.x]];
    }
    """,
    'scattered',
)


def test_a_kernel_that_needs_more_than_the_stacks_that_are_set_aside_gets_more(
    context: GpuContext,
) -> None:
    status, nbytes = runtime.cudaDeviceGetLimit(runtime.cudaLimit.cudaLimitStackSize)
    assert (int(status), nbytes) == (0, STACK_BYTES)
    order = torch.randperm(512, dtype=torch.int32, device=DEVICE)[:256].contiguous()
    blocks = 4096
    out = torch.zeros(blocks, 256, dtype=torch.int32, device=DEVICE)
    _SCATTERED((blocks,), (256,), (cupy.asarray(order), cupy.asarray(out)))
    torch.cuda.synchronize()
    threads = torch.arange(1, 257, dtype=torch.int32, device=DEVICE)
    assert torch.equal(out, (order * threads).expand(blocks, 256))


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


def test_a_frame_may_go_while_its_thread_records_a_graph(context: GpuContext) -> None:
    """As the collector may let it: neither its memory nor the recording is lost."""
    stage, capturing = context.streams.lease('stage'), torch.cuda.Stream(DEVICE)
    data = picture(11)
    frame = context.frame(HEADER, FORMAT, data)
    # Not made executable before the latch is open: that may wait for kernels that run.
    graph = torch.cuda.CUDAGraph(keep_graph=True)
    counted = torch.zeros(4, device=DEVICE)
    counted.add_(1)
    with torch.cuda.stream(
        capturing
    ):  # to load a kernel while the latch is shut would wait for it
        first = torch.cuda.CUDAGraph()
        first.capture_begin(capture_error_mode='thread_local')
        counted.add_(1)
        first.capture_end()
    with stage:
        frame.use(stage).clone()
    torch.cuda.synchronize()
    with Latch() as latch:
        latch.block(stage)
        with stage:
            result = frame.use(stage).clone()
        with context.capture_lock, torch.cuda.stream(capturing):
            graph.capture_begin(capture_error_mode='thread_local')
            counted.add_(1)
            del frame
            graph.capture_end()
        for _ in range(50):
            context.frame(HEADER, FORMAT, bytes(FORMAT.nbytes)).ready.wait_host()
        latch.open()
        graph.instantiate()
        graph.replay()
        torch.cuda.synchronize()
        assert not latch.timed_out
    assert counted.tolist() == [2.0] * 4
    assert result.cpu().numpy().tobytes() == data
    context.streams.release(stage)


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
