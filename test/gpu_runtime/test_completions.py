# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What follows work on the device: when, in which order, and what a failure costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
import threading
import time
from typing import Any

from later_event import Later
import pytest
import torch

from gpu_runtime.completions import Completions
from gpu_runtime.errors import CudaError
from gpu_runtime.event import Event
from gpu_runtime.semaphore import Semaphore
from gpu_runtime.stream import Stream


class Told(Stream):
    """A stream whose work ends when a test says so."""

    def __init__(self) -> None:
        super().__init__('stage', torch.device('cpu'))
        self.refuses = False
        self.semaphore: Semaphore | None = None

    def signal(self, semaphore: Any) -> None:
        """Remember whom to tell."""
        if self.refuses:
            raise CudaError('refused')
        self.semaphore = semaphore

    def end(self, event: Later) -> None:
        """Let the work before an event end."""
        event.ended = True
        assert self.semaphore is not None
        self.semaphore.post()


@pytest.fixture(params=[1, 3])
def completions(request: pytest.FixtureRequest) -> Iterator[Completions]:
    """Return some threads."""
    made = Completions(request.param)
    yield made
    made.close()


def until(condition: Any) -> None:
    """Wait for something, for a while."""
    end_s = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_work_waits_for_its_event(completions: Completions) -> None:
    lane, stream, event, done = completions.lane(), Told(), Later(), []
    lane.submit(event, stream, lambda: done.append(threading.current_thread().name))
    time.sleep(0.05)
    assert done == []
    began_s = time.monotonic()
    stream.end(event)
    until(lambda: done)
    assert time.monotonic() - began_s < 0.4  # told, not found by looking now and then
    assert done[0].startswith('completion')
    lane.close()


def test_a_lane_keeps_its_order(completions: Completions) -> None:
    """Whatever ends first; others go on meanwhile."""
    lane, other, stream = completions.lane(), completions.lane(), Told()
    events, done = [Later() for _ in range(5)], []
    for number, event in enumerate(events):
        lane.submit(event, stream, partial(done.append, number))
    for event in reversed(events[1:]):
        stream.end(event)
    other.submit(Event(), Stream('other', torch.device('cpu')), partial(done.append, 'other'))
    until(lambda: done == ['other'])
    stream.end(events[0])
    lane.close()
    assert done == ['other', 0, 1, 2, 3, 4]
    other.close()


def test_nobody_starves(completions: Completions) -> None:
    """The oldest work is next, whichever lane was made first."""
    stream, done = Stream('stage', torch.device('cpu')), []
    lanes, gate = [completions.lane() for _ in range(3)], threading.Event()
    for _ in range(3):  # keeps every thread busy
        completions.lane().submit(Event(), stream, lambda: gate.wait(5.0))
    time.sleep(0.05)
    for number in range(9):
        lanes[number % 3].submit(Event(), stream, partial(done.append, number))
    gate.set()
    for lane in lanes:
        lane.close()
    assert sorted(done) == list(range(9))
    if len(completions._threads) == 1:
        assert done == list(range(9))


def test_work_of_one_lane_never_overlaps(completions: Completions) -> None:
    lane, stream = completions.lane(), Stream('stage', torch.device('cpu'))
    inside, most = [0], [0]

    def work() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.0005)
        inside[0] -= 1

    for _ in range(100):
        lane.submit(Event(), stream, work)
    lane.close()
    assert (most[0], inside[0]) == (1, 0)


@pytest.mark.parametrize('error', [ValueError('on purpose'), SystemExit(1)])
def test_a_failure_costs_its_work_only(
    completions: Completions, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    lane, stream, done = completions.lane(), Stream('stage', torch.device('cpu')), []

    def fail() -> None:
        raise error

    for _ in range(4):  # more than there are threads
        lane.submit(Event(), stream, fail)
    lane.submit(Event(), stream, partial(done.append, 1))
    lane.close()
    assert done == [1]
    assert 'what follows work on the device failed' in caplog.text


@pytest.mark.parametrize('how', ['event', 'signal'])
def test_a_device_that_fails_is_found_out(completions: Completions, how: str) -> None:
    """No signal comes from it: the work runs all the same, and meets the error itself."""
    lane, stream, event, done = completions.lane(), Told(), Later(), []
    stream.refuses = how == 'signal'
    event.fault = CudaError('lost') if how == 'event' else None
    event.ended = how == 'signal'
    lane.submit(event, stream, partial(done.append, 1))
    until(lambda: done)
    lane.close()


def test_signals_from_many_threads_are_counted() -> None:
    semaphore, count = Semaphore(), 200
    threads = [threading.Thread(target=semaphore.post) for _ in range(count)]
    for thread in threads:
        thread.start()
    assert all(semaphore.wait(5.0) for _ in range(count))
    for thread in threads:
        thread.join()
    began_s = time.monotonic()
    assert not semaphore.wait(0.05)
    assert time.monotonic() - began_s >= 0.04


def test_a_wait_lets_other_threads_run() -> None:
    semaphore, ran = Semaphore(), threading.Event()
    thread = threading.Thread(target=lambda: (ran.set(), semaphore.post()))
    thread.start()
    assert semaphore.wait(5.0) and ran.is_set()
    thread.join()
