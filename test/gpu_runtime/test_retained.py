# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory waits for the streams that read it, with streams and events that the test steers."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from gpu_runtime.detection.detected_frame import DetectedFrame
from gpu_runtime.event import Event
from gpu_runtime.frame import Frame
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.retained import PATIENCE
from gpu_runtime.retained import retain
from gpu_runtime.retained import Retained
from gpu_runtime.stream import Stream
from gpu_runtime.transforms import make_image_transform

CPU = torch.device('cpu')


class Work(Event):
    """The end of some work; passes when the test says so."""

    __slots__ = ('asked', 'stream')

    def __init__(self, stream: Busy) -> None:
        super().__init__()
        self.stream = stream
        self.asked = 0

    def passed(self) -> bool:
        """Count the question; during a capture it would have ended it."""
        assert not self.stream.device_state.capturing
        self.asked += 1
        return self.stream.idle


class State:
    """What the calling thread's current stream does."""

    def __init__(self) -> None:
        self.capturing = False
        self.retained = Retained(lambda: self.capturing)


class Busy(Stream):
    """A stream as on a GPU, whose work the test ends."""

    def __init__(self, state: State) -> None:
        super().__init__('busy', CPU, None, state.retained)
        self.torch_stream = object()
        self.device_state = state
        self.idle = False
        self.events: list[Work] = []

    def record(self, *, timing: bool = False) -> Event:
        """Note the event; during a capture it would have ended it."""
        assert not self.device_state.capturing
        self.events.append(Work(self))
        return self.events[-1]

    def wait(self, event: Event) -> None:
        """Do nothing: what is awaited has passed."""


@pytest.fixture
def state() -> State:
    """Return the state of a device."""
    return State()


def dropped(*streams: Busy) -> weakref.ref[torch.Tensor]:
    """Let go of a tensor that streams may read; return what tells whether it is held."""
    tensor = torch.zeros(1)
    retain(streams, tensor)
    return weakref.ref(tensor)


def test_tensors_wait_for_every_stream_that_reads_them(state: State) -> None:
    first, second = Busy(state), Busy(state)
    held = dropped(first, second)
    first.idle = True
    dropped(second)
    assert held() is not None
    second.idle = True
    dropped(first)
    assert held() is None
    assert len(state.retained) == 1  # the last


def test_nobody_is_asked_during_a_capture(state: State) -> None:
    stream = Busy(state)
    before = dropped(stream)
    stream.idle = state.capturing = True
    during = [dropped(stream) for _ in range(3)]
    assert before() is not None
    assert None not in [each() for each in during]
    assert (len(stream.events), stream.events[0].asked) == (1, 0)
    state.capturing = False
    dropped(stream)
    assert before() is None
    assert len(stream.events) == 5
    assert None not in [each() for each in during]  # their events are as young as this call
    dropped(stream)
    assert [each() for each in during] == [None] * 3


def test_what_passed_goes_however_much_it_is(state: State) -> None:
    stream = Busy(state)
    held = [dropped(stream) for _ in range(100)]
    stream.idle = True
    dropped(stream)
    assert not any(each() is not None for each in held)


def test_a_sweep_ends_early(state: State) -> None:
    stream = Busy(state)
    for _ in range(100):
        dropped(stream)
    before = sum(event.asked for event in stream.events)
    dropped(stream)
    assert sum(event.asked for event in stream.events) - before == PATIENCE


def test_a_stream_that_hangs_holds_its_own_only(state: State) -> None:
    hanging, fast = Busy(state), Busy(state)
    fast.idle = True
    held = [dropped(hanging) for _ in range(20)]
    most = 0
    for _ in range(500):
        dropped(fast)
        most = max(most, len(state.retained))
    assert None not in [each() for each in held]
    assert most <= 3 * len(held)


def test_a_destructor_may_come_in_between(state: State) -> None:
    class Interrupted(Busy):
        def record(self, *, timing: bool = False) -> Event:
            if not self.events:
                dropped(other)
            return super().record(timing=timing)

    other = Busy(state)
    held = dropped(Interrupted(state))
    assert held() is not None
    assert len(state.retained) == 2


def test_nothing_is_held_on_a_cpu_or_for_nobody() -> None:
    stream = Stream('cpu', CPU)
    retain({stream}, torch.zeros(1))
    retain(set(), torch.zeros(1))
    assert len(stream.retained) == 0


def test_clear_lets_go_of_everything(state: State) -> None:
    held = [dropped(Busy(state))]
    state.capturing = True
    held.append(dropped(Busy(state)))
    state.retained.clear()
    assert [each() for each in held] == [None, None]


def make_frame() -> Frame:
    """Return a picture."""
    layout = ImageFormat(4, 3, 'rgb8', 12)
    data = torch.zeros(layout.nbytes, dtype=torch.uint8)
    return Frame(Header(1, 'camera'), layout, data, Event(), make_image_transform(CPU))


def test_a_frame_is_one_entry_however_many_read_it(state: State) -> None:
    streams = [Busy(state) for _ in range(6)]
    frame = make_frame()
    for stream in streams:
        frame.use(stream)
    data = weakref.ref(frame.data)
    del frame
    assert len(state.retained) == 1
    assert [len(stream.events) for stream in streams] == [1] * 6
    for stream in streams:
        assert data() is not None
        stream.idle = True
        dropped(stream)
    assert data() is None


def test_detections_wait_for_work_that_was_enqueued_after_use(state: State) -> None:
    stream = Busy(state)
    detected = DetectedFrame(make_frame(), torch.zeros(2, 6), Event())
    rows = weakref.ref(detected.rows)
    detected.use(stream)
    assert stream.events == []
    del detected
    gc.collect()
    assert (len(stream.events), rows() is not None) == (1, True)
    stream.idle = True
    dropped(stream)
    assert rows() is None
