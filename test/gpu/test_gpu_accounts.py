# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory on a real device: what is booked, on which account, and when it comes back."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
import threading

from context_bench import DEVICE
from context_bench import LONG_S
from context_bench import MIB
from context_bench import reserved
import pytest
import torch

from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.memory_account import outside_accounts

pytestmark = pytest.mark.gpu
PROJECT = Path(__file__).resolve().parents[2]


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
