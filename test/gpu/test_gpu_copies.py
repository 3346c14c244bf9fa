# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Copies to and from a real device: the calling thread never waits.

A latch keeps a stream busy while a call is made; the call must return at once, with its work still
undone.  Everything that runs beside a latch has run before: first uses load kernels and memory.
"""

from __future__ import annotations

import time

from context_bench import AT_ONCE_S
from context_bench import DEVICE
from context_bench import expected
from context_bench import FORMAT
from context_bench import HEADER
from context_bench import picture
from context_bench import SPEC
from latch import Latch
import numpy as np
import pytest
import torch

from gpu_runtime.gpu_context import GpuContext

pytestmark = pytest.mark.gpu


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
