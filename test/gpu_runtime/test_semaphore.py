# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Signals are counted; who waits is woken, and one that came already is not waited for."""

from __future__ import annotations

import ctypes
import threading
import time

import pytest

from gpu_runtime import semaphore
from gpu_runtime.semaphore import Semaphore


def test_each_signal_is_taken_once() -> None:
    """And then there is none until the end of the wait."""
    signals = Semaphore()
    signals.post()
    signals.post()
    assert signals.wait(0.0)
    assert signals.wait(0.0)
    began_s = time.monotonic()
    assert not signals.wait(0.05)
    assert time.monotonic() - began_s > 0.04


def test_a_signal_wakes_who_waits() -> None:
    """Long before the end of the wait, also if it comes from C."""
    signals = Semaphore()
    post = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(signals.post_address)
    timer = threading.Timer(0.05, post, [signals.address])
    timer.start()
    began_s = time.monotonic()
    assert signals.wait(20.0)
    assert time.monotonic() - began_s < 10.0
    timer.join()


def test_a_signal_that_came_is_taken_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called that gives it away."""
    signals = Semaphore()
    signals.post()
    monkeypatch.setattr(semaphore, '_LIBC', None)
    assert signals.wait(0.0)
