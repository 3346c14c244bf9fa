# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A source keeps its rate, tells its time, and ends when its pictures do."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from probe import Host
from probe import Listener
from probe import now_ns
from probe import Probe
from probe import set_parameter
import pytest
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until

from gpu_components.egress import IN_FLIGHT
from gpu_components.sources import source_stage
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
from gpu_runtime.errors import SourceError

SLOW_HZ = 0.02
PERIOD_S = 50.0
PICTURE = np.zeros((4, 6, 3), np.uint8)


class Counter(Source[SourceParameters, None]):
    """Numbers its pictures in their first byte; what ``script`` holds comes instead."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.reads: list[float] = []
        self.script: dict[int, Any] = {}

    def prepare(self, params: SourceParameters) -> None:
        """Prepare nothing."""

    def read(self) -> Any:
        """Return the next picture, 6 wide and 4 high."""
        self.reads.append(time.monotonic())
        number = len(self.reads)
        if number in self.script:
            return self.script[number]()
        return np.full((4, 6, 3), number, np.uint8)


def test_the_rate_is_kept_on_average(host: Host) -> None:
    """Pictures come at their time, not at the time the last one was done plus a period."""
    counter = host.load(Counter, 'cam', publish='always', rate_hz=50.0).component
    for number in range(1, 200):
        counter.script[number] = lambda: (time.sleep(0.01), np.zeros((4, 6, 3), np.uint8))[1]
    assert wait_until(lambda: len(counter.reads) >= 40)
    assert abs(float(np.median(np.diff(counter.reads))) - 1 / 50.0) < 0.005


class Clock:
    """The time of sources: it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def stall(self, periods: float) -> Any:
        """Let a read take some periods, and return its picture."""
        self.now_s += periods * PERIOD_S
        return PICTURE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give sources a clock that the test drives."""
    clock = Clock()
    monkeypatch.setattr(source_stage, 'time', clock)
    return clock


@pytest.mark.parametrize(
    ('periods', 'reads', 'missed'),
    [(0.5, 1, 0), (1.5, 2, 0), (3.5, 4, 0), (4.9, 5, 0), (5.5, 2, 4), (20.5, 2, 19)],
)
def test_a_short_stall_is_made_up_for_and_a_long_one_is_not(
    host: Host, clock: Clock, periods: float, reads: int, missed: int
) -> None:
    """What was due meanwhile is read at once, or counted; the next comes at its time."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=SLOW_HZ, active=False)
    counter = node.component
    counter.script[1] = lambda: clock.stall(periods)
    node.trigger_configure()
    node.trigger_activate()
    assert wait_until(lambda: len(counter.reads) == reads)
    host.wait_count('processed', reads, '/cam')
    time.sleep(0.05)  # one that came too early would be here by now
    assert len(counter.reads) == host.count('received', '/cam') == reads
    assert host.count('missed', '/cam') == missed


def test_what_reads_take_does_not_shift_the_schedule(host: Host, clock: Clock) -> None:
    """Pictures that are made up for are due a period after each other, however long they take."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=SLOW_HZ, active=False)
    counter = node.component
    counter.script[1] = lambda: clock.stall(3.5)
    for number in (2, 3, 4):
        counter.script[number] = lambda: clock.stall(0.4)
    node.trigger_configure()
    node.trigger_activate()
    assert wait_until(lambda: len(counter.reads) == 5)  # 3.5 and three times 0.4 periods later
    time.sleep(0.05)
    assert len(counter.reads) == 5
    assert host.count('missed', '/cam') == 0


def test_a_source_that_is_always_late_still_obeys(host: Host) -> None:
    """It takes other parameters, and ends, though it never waits for its time."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=10000.0, active=False)
    counter = node.component
    for number in range(1, 10000):
        counter.script[number] = lambda: (time.sleep(0.002), PICTURE)[1]
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('missed', 10, '/cam')
    assert set_parameter(node, 'frame_id', 'other').successful
    assert wait_until(lambda: counter.params.frame_id == 'other')
    node.trigger_deactivate()
    assert len(counter.reads) < 10000


def test_a_change_of_rate_applies_at_once(host: Host) -> None:
    """From the next picture on."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=5.0)
    assert wait_until(lambda: len(node.component.reads) >= 2)
    assert set_parameter(node, 'rate_hz', 100.0).successful
    assert wait_until(lambda: len(node.component.reads) >= 32, 3.0)  # 6 s at the old rate


def test_a_change_of_rate_does_not_wait_for_a_slow_period(host: Host) -> None:
    """A source of one picture a minute can be sped up, and stopped."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=0.02)
    assert wait_until(lambda: len(node.component.reads) == 1)
    assert set_parameter(node, 'rate_hz', 100.0).successful
    assert wait_until(lambda: len(node.component.reads) >= 5, 10.0)
    assert set_parameter(node, 'rate_hz', 0.02).successful
    time.sleep(0.1)
    began = time.monotonic()
    node.trigger_deactivate()
    assert time.monotonic() - began < 10.0


def test_pictures_carry_the_time_frame_and_bytes_of_the_source(host: Host) -> None:
    """What is on the bus is what was read, stamped with the node's clock."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=100)
    before = now_ns()
    host.load(Counter, 'cam', rate_hz=50.0, frame_id='left_optical')
    first, second = frames.take(5.0), frames.take(5.0)
    assert first is not None and second is not None
    assert before <= first.header.stamp_ns < second.header.stamp_ns <= now_ns()
    assert first.header.frame_id == 'left_optical'
    layout = first.format
    assert (layout.width, layout.height, layout.encoding, layout.step) == (6, 4, 'bgr8', 18)
    assert first.data.tolist() == [1] * 72
    assert second.data.tolist() == [2] * 72


def test_an_array_with_gaps_is_read_row_by_row(host: Host) -> None:
    """A view into a larger picture arrives without its surroundings."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test')
    node = host.load(Counter, 'cam', active=False)
    whole = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    node.component.script[1] = lambda: whole[2:5, 3:9]
    node.trigger_configure()
    node.trigger_activate()
    frame = frames.take(5.0)
    assert frame is not None
    assert frame.data.tolist() == whole[2:5, 3:9].reshape(-1).tolist()


def test_nothing_is_read_while_nobody_looks(host: Host) -> None:
    """The pictures that were not taken are counted."""
    counter = host.load(Counter, 'cam', rate_hz=100.0).component
    host.wait_count('unwanted', 5, '/cam')
    assert counter.reads == []
    frames = host.gpu.bus.subscribe('/image_raw', 'test')
    assert frames.take(5.0) is not None
    assert len(counter.reads) >= 1


def test_the_end_of_the_pictures_ends_the_source_quietly(host: Host) -> None:
    """No error is counted, and the node still goes down in order."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=100.0, active=False)
    node.component.script[4] = lambda: None
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('processed', 3, '/cam')
    time.sleep(0.1)
    assert len(node.component.reads) == 4
    assert host.metrics('/cam').dropped == 0
    assert host.count('received', '/cam') == 3
    node.trigger_deactivate()
    assert node.state == 'inactive'


def test_a_failed_read_costs_one_picture(host: Host) -> None:
    """It is counted and shown, and the source goes on."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=100.0, active=False)

    def fail() -> Any:
        raise SourceError('file 2 is no picture')

    node.component.script[2] = fail
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('processed', 3, '/cam')
    assert host.count('dropped_error', '/cam') == 1
    assert 'file 2 is no picture' in host.metrics('/cam').error


def test_the_bus_alone_takes_no_place_in_flight(host: Host) -> None:
    """Nothing goes through egress while nobody in ROS listens; the counts are as ever."""
    node = host.load(Counter, 'cam', rate_hz=100.0)
    for _ in range(IN_FLIGHT):
        node._egress.acquire()
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=1000)
    taken = [frames.take(5.0) for _ in range(2)]
    for _ in range(IN_FLIGHT):
        node._egress.release()
    first, second = taken
    assert first is not None and second is not None
    assert (first.data[0].item(), second.data[0].item()) == (1, 2)
    node.trigger_deactivate()
    metrics = host.metrics('/cam')
    assert metrics.counts['received'] == metrics.counts['processed'] == len(node.component.reads)
    assert metrics.stamp_ns >= second.header.stamp_ns
    assert {'late', 'latency'} <= set(metrics.timings)
    assert 'device' not in metrics.timings
    assert host.gpu.pinned.report().allocations == 0


def test_who_listens_in_ros_gets_what_is_on_the_bus(
    host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """From the moment on when somebody listens, in order, and counted once."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=1000)
    node = host.load(Counter, 'cam', rate_hz=50.0)
    assert frames.take(5.0) is not None
    viewer = make_node('viewer')
    pictures = Listener(viewer, Image, 'image_raw')
    spun.add_node(viewer)
    pictures.wait(3, 10.0)
    node.trigger_deactivate()
    assert host.count('received', '/cam') == host.count('processed', '/cam')
    assert 'device' in host.metrics('/cam').timings
    firsts = [message.data[0] for message in list(pictures.messages)]
    assert firsts == list(range(firsts[0], firsts[0] + len(firsts)))
    assert frames.queued + 1 == len(node.component.reads)
    spun.remove_node(viewer)


def test_with_ros_a_picture_waits_for_a_place_in_flight(host: Host) -> None:
    """Who publishes more slowly than the source reads holds it back."""
    node = host.load(Counter, 'cam', rate_hz=100.0)
    for _ in range(IN_FLIGHT):
        node._egress.acquire()
    assert set_parameter(node, 'publish', 'always').successful
    time.sleep(0.2)
    assert node.component.reads == []
    for _ in range(IN_FLIGHT):
        node._egress.release()
    host.wait_count('processed', 1, '/cam')


def test_the_next_picture_waits_for_the_upload_of_the_last(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that is faster than the way to the device holds no memory for what is under way."""
    done = threading.Event()

    class Upload:
        """Passes when the test says so."""

        raw = None
        passed = done.is_set
        wait_host = done.wait

    upload = host.gpu.frame

    def frame(*args: Any, **options: Any) -> Any:
        made = upload(*args, **options)
        made.ready = Upload()  # type: ignore[assignment]
        return made

    monkeypatch.setattr(host.gpu, 'frame', frame)
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=1000)
    counter = host.load(Counter, 'cam', rate_hz=1000.0).component
    assert frames.take(5.0) is not None
    time.sleep(0.1)
    assert len(counter.reads) == 1
    done.set()
    assert frames.take(5.0) is not None


def test_no_reader_gets_a_picture_through_ros_as_well(host: Host) -> None:
    """Readers that came first do not listen in ROS any more when the first picture is read."""
    host.load(Probe, publish='always', remap=['input_image:=image_raw'])
    assert host.router.topics() == ['/image_raw']
    node = host.load(Counter, 'cam', rate_hz=SLOW_HZ, active=False)
    topics: list[list[str]] = []
    node.component.script[1] = lambda: (topics.append(host.router.topics()), PICTURE)[1]
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('processed', 1)
    assert topics == [[]]
