# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the driver is asked, and what becomes of its answers; the library is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
import threading
from typing import Any

import pytest
import torch

from gpu_runtime import driver as driver_module
from gpu_runtime.driver import Driver
from gpu_runtime.driver import NOT_READY
from gpu_runtime.errors import CudaError

DEVICE = torch.device('cuda', 1)
CONTEXT, EVENT = 0x77, 0x55


class Library:
    """Answers as the driver does, and notes what it was asked on which thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: dict[str, list[int]] = {}
        self.status: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Return a function of the library."""

        def call(*arguments: Any) -> int:
            self.calls.append((name, *arguments))
            self.threads.setdefault(name, []).append(threading.get_ident())
            made = {'cuDeviceGet': 1, 'cuDevicePrimaryCtxRetain': CONTEXT, 'cuEventCreate': EVENT}
            if name in made:
                ctypes.c_int.from_address(arguments[0]).value = made[name]
            if name == 'cuEventElapsedTime':
                ctypes.c_float.from_address(arguments[0]).value = 2.5
            return self.status.get(name, 0)

        return call


@pytest.fixture
def library() -> Library:
    """Return a stand-in for the driver's library."""
    return Library()


@pytest.fixture
def driver(library: Library) -> Driver:
    """Return what calls it."""
    made = Driver(DEVICE, library, library)
    library.calls.clear()
    return made


def test_each_thread_gets_the_device_s_context_once(driver: Driver, library: Library) -> None:
    """Also one that torch has never seen."""
    for _ in range(2):
        driver.record(EVENT, 9)
    other = threading.Thread(target=driver.passed, args=(EVENT,))
    other.start()
    other.join()
    current = [call for call in library.calls if call[0] == 'cuCtxSetCurrent']
    assert current == [('cuCtxSetCurrent', CONTEXT)] * 2
    assert len(set(library.threads['cuCtxSetCurrent'])) == 2


@pytest.mark.parametrize(
    ('work', 'asked'),
    [
        (lambda d: d.copy(1, 2, 3, 9), ('cuMemcpyAsync', 1, 2, 3, 9)),
        (lambda d: d.call(9, 4, 5), ('cuLaunchHostFunc', 9, 4, 5)),
        (lambda d: d.wait(9, EVENT), ('cuStreamWaitEvent', 9, EVENT, 0)),
        (lambda d: d.record(EVENT, 9), ('cuEventRecord', EVENT, 9)),
        (lambda d: d.synchronize(EVENT), ('cuEventSynchronize', EVENT)),
        (lambda d: d.passed(EVENT), ('cuEventQuery', EVENT)),
    ],
)
@pytest.mark.parametrize(('status', 'sticky'), [(0, False), (1, False), (700, True)])
def test_a_call_is_made_and_its_failure_told(
    driver: Driver,
    library: Library,
    work: Callable[[Driver], object],
    asked: tuple[Any, ...],
    status: int,
    sticky: bool,
) -> None:
    library.status[asked[0]] = status
    if status:
        with pytest.raises(CudaError, match=f'{asked[0]} failed with CUDA status {status}') as got:
            work(driver)
        assert got.value.sticky is sticky
    else:
        work(driver)
    assert library.calls[-1] == asked


def test_an_event_that_has_not_passed_is_no_error(driver: Driver, library: Library) -> None:
    assert driver.passed(EVENT)
    library.status['cuEventQuery'] = NOT_READY
    assert not driver.passed(EVENT)


@pytest.mark.parametrize(('timing', 'flags'), [(True, 1), (False, 3)])
def test_events_are_made_for_threads_that_sleep(
    driver: Driver, library: Library, timing: bool, flags: int
) -> None:
    """Flags as in the driver's header: 1 sleeps instead of spinning, 2 takes no time."""
    assert driver.create_event(timing=timing) == EVENT
    assert library.calls[-1][2] == flags
    driver.destroy_event(EVENT)
    assert library.calls[-1] == ('cuEventDestroy_v2', EVENT)


def test_time_is_told_in_seconds(driver: Driver, library: Library) -> None:
    assert driver.seconds_between(3, 4) == pytest.approx(2.5e-3)
    assert library.calls[-1][2:] == (3, 4)


def test_a_device_that_cannot_be_used_is_told(library: Library) -> None:
    library.status['cuDevicePrimaryCtxRetain'] = 2
    with pytest.raises(CudaError, match=r'cuDevicePrimaryCtxRetain\(cuda:1\) .* status 2'):
        Driver(DEVICE, library, library)


def test_a_machine_without_the_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, 'LIBRARY', 'libnodriver.so.1')
    with pytest.raises(CudaError, match=r'no CUDA driver: libnodriver\.so\.1'):
        Driver(DEVICE)
