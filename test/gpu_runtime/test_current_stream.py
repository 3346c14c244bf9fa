# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What was current comes back, with calls that stand for torch's where there is no GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gpu_runtime import current_stream
from gpu_runtime.stream import Stream

CUDA = 1


class Driver(threading.local):
    """Per thread a device, and a stream of each; as torch keeps them."""

    def __init__(self) -> None:
        self.device = 0
        self.streams = {0: (0, 0, CUDA), 1: (0, 1, CUDA)}

    def set_stream(self, *, stream_id: int, device_index: int, device_type: int) -> None:
        """Make a stream current, and its device too, as torch does."""
        self.device = device_index
        self.streams[device_index] = (stream_id, device_index, device_type)

    def set_device(self, device: int) -> None:
        """Make a device current."""
        self.device = device


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Put a driver in place of torch's calls."""
    driver = Driver()
    monkeypatch.setattr(torch._C, '_cuda_getDevice', lambda: driver.device)
    monkeypatch.setattr(torch._C, '_cuda_getCurrentStream', lambda index: driver.streams[index])
    monkeypatch.setattr(torch._C, '_cuda_setStream', driver.set_stream)
    monkeypatch.setattr(torch._C, '_cuda_setDevice', driver.set_device)
    return driver


def stream(number: int, device: int = 0) -> Any:
    """Return what identifies a stream."""
    return SimpleNamespace(stream_id=number, device_index=device, device_type=CUDA)


class Native:
    """A stream of CuPy that keeps its own stack of what was current."""

    current: list[object] = []  # noqa: RUF012

    def __enter__(self) -> None:
        self.current.append(self)

    def __exit__(self, *error: object) -> None:
        assert self.current.pop() is self


def lease(number: int) -> Stream:
    """Return a stream as on a GPU."""
    made = Stream(str(number), torch.device('cpu'))
    made.torch_stream, made.native = stream(number), Native()
    return made


def test_the_stream_of_another_device_makes_it_current_meanwhile(driver: Driver) -> None:
    driver.set_stream(stream_id=5, device_index=1, device_type=CUDA)
    driver.set_device(0)
    before = current_stream.enter(stream(7, device=1))
    assert (driver.device, driver.streams[1]) == (1, (7, 1, CUDA))
    current_stream.leave(before)
    assert driver.device == 0
    assert driver.streams == {0: (0, 0, CUDA), 1: (5, 1, CUDA)}


def test_streams_are_left_in_the_order_they_were_entered(driver: Driver) -> None:
    outer, inner = lease(3), lease(4)
    with outer:
        with inner, outer:
            assert driver.streams[0][0] == 3
            assert Native.current == [outer.native, inner.native, outer.native]
        assert driver.streams[0][0] == 3
        with pytest.raises(KeyError), inner:
            assert driver.streams[0][0] == 4
            raise KeyError
        assert driver.streams[0][0] == 3
    assert driver.streams[0][0] == 0
    assert Native.current == []


def test_each_thread_has_its_own(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Native, '__enter__', lambda self: None)
    monkeypatch.setattr(Native, '__exit__', lambda self, *error: None)
    shared, barrier = lease(9), threading.Barrier(4)

    def work(number: int) -> list[int]:
        seen = []
        with lease(number):
            barrier.wait(10.0)
            with shared:
                barrier.wait(10.0)
                seen.append(driver.streams[0][0])
            barrier.wait(10.0)
            seen.append(driver.streams[0][0])
        return [*seen, driver.streams[0][0]]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(10, 14))) == [[9, n, 0] for n in range(10, 14)]
