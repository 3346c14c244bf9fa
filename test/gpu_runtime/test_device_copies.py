# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Transfers as on a device, with a driver that copies at once in host memory."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
import torch

from gpu_runtime.device_copies import DeviceCopies
from gpu_runtime.errors import CudaError
from gpu_runtime.event import Event
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.stream import Stream
from gpu_runtime.stream_pool import StreamPool
from gpu_runtime.transfers import Transfers

CPU = torch.device('cpu')
STREAM = 0x5000


class Driver:
    """Stands for that of a device."""

    def __init__(self) -> None:
        self.copies: list[int] = []
        self.broken = False

    def copy(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Copy now."""
        if self.broken:
            raise CudaError('illegal address', sticky=True)
        assert stream == STREAM
        self.copies.append(nbytes)
        ctypes.memmove(to, source, nbytes)


class Bench:
    """Transfers, with everything they use."""

    def __init__(self) -> None:
        self.driver = Driver()
        self.pool = PinnedPool(CPU)
        streams = StreamPool(CPU)
        self.transfers = Transfers(CPU, self.pool, streams)
        self.transfers._copies = DeviceCopies(self.driver)  # type: ignore[arg-type]
        self.stream = streams.lease('stage')
        for stream in (self.stream, self.transfers._stream):
            stream.handle = STREAM


@pytest.fixture
def bench() -> Bench:
    """Return transfers that copy as on a device."""
    return Bench()


def test_an_upload_is_one_copy(bench: Bench) -> None:
    data = bytes(range(200))
    tensor, _ = bench.transfers.upload(data, 100, offset=50)
    assert bytes(tensor.numpy()) == data[50:150]
    assert bench.driver.copies == [100]
    assert bench.pool.report().leased == 0
    bench.transfers.upload(data, 100)
    assert bench.pool.report().allocations == 1


def test_page_locked_data_is_uploaded_from_where_it_is(bench: Bench) -> None:
    data = np.arange(200, dtype=np.uint8)
    tensor, _ = bench.transfers.upload(data, 100, offset=50, pinned=True)
    assert bytes(tensor.numpy()) == data[50:150].tobytes()
    assert bench.driver.copies == [100]
    assert bench.pool.report().allocations == 0


def test_download_keeps_shape_and_type(bench: Bench) -> None:
    tensors = (
        torch.arange(12, dtype=torch.float32).reshape(3, 4),
        torch.tensor(5),
        torch.zeros((0, 4), dtype=torch.float16),
        torch.tensor([True, False]),
        torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
    )
    for _ in range(2):
        download = bench.transfers.download(tensors, bench.stream)
        for tensor, got in zip(tensors, download.arrays, strict=True):
            assert got.shape == tuple(tensor.shape)
            assert got.flags.c_contiguous
            np.testing.assert_array_equal(got, tensor.numpy())
        download.release()
        download.release()
    assert bench.driver.copies == [48, 8, 2, 6] * 2
    assert bench.pool.report().by_owner == {'stage': 64}
    assert bench.pool.report().allocations == 5


def test_a_copy_on_the_device_is_one_copy(bench: Bench) -> None:
    source, target = torch.arange(12, dtype=torch.uint8), torch.zeros(12, dtype=torch.uint8)
    bench.transfers.copy(source, target, bench.stream)
    assert bench.driver.copies == [12]
    assert target.tolist() == source.tolist()


def test_nothing_to_download_is_an_event(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def record(self: Stream, *, timing: bool = False) -> Event:
        asked.append(timing)
        return Event()

    monkeypatch.setattr(Stream, 'record', record)
    download = bench.transfers.download((), bench.stream, timing=True)
    assert (list(download.arrays), asked) == ([], [True])


def test_a_copy_that_fails_tells_and_gives_its_memory_back(bench: Bench) -> None:
    bench.driver.broken = True
    tensors: Any = (torch.zeros(3), torch.zeros(2))
    with pytest.raises(CudaError, match=r"12 bytes .* stream 'stage': illegal") as caught:
        bench.transfers.download(tensors, bench.stream)
    assert caught.value.sticky
    assert bench.pool.report().leased == 0
