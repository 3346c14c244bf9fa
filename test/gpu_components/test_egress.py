# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Results leave a component in order, with their frame's header, off the stage's thread."""

from __future__ import annotations

from collections.abc import Iterator
import threading
from typing import Any

from later_event import Later
import numpy as np
from probe import Host
from probe import Listener
import pytest
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until
from std_msgs.msg import String
import torch

from gpu_components.egress import Egress
from gpu_components.egress import IN_FLIGHT
from gpu_components.egress import ON_DEVICE
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.output_ports import OutputPorts
from gpu_runtime.errors import CudaError
from gpu_runtime.header import Header

OUTPUTS = (Output('text', String), Output('other', String), Output('picture', Image, bus=True))


class Way:
    """An egress on the way out of a node, and what arrives at its end."""

    def __init__(self, host: Host, node: Any, viewer: Any) -> None:
        self.host = host
        self.policy = 'always'
        self.ports = OutputPorts(node, OUTPUTS, host.gpu.bus, lambda: self.policy)
        self.ports.advertise()
        self.metrics = host.gpu.metrics.stage('/probe')
        log = node.get_logger()
        self.egress = Egress('/probe', self.ports, host.gpu, self.metrics, log)
        self.stream = host.gpu.streams.lease('/probe')
        self.texts = Listener(viewer, String, 'text')
        self.pictures = Listener(viewer, Image, 'picture')
        assert wait_until(lambda: self.ports['text'].get_subscription_count() == 1)
        assert wait_until(lambda: self.ports['picture'].get_subscription_count() == 1)

    def submit(self, stamp_ns: int, **results: Any) -> None:
        """Submit the results of one frame."""
        self.egress.acquire()
        started = self.stream.record(timing=True)
        self.egress.submit([(self.host.frame(stamp_ns), results)], self.stream, started)


@pytest.fixture
def way(host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor) -> Iterator[Way]:
    """Start an egress with a viewer of its outputs."""
    viewer = make_node('viewer')
    spun.add_node(viewer)
    way = Way(host, make_node('source'), viewer)
    yield way
    way.egress.stop()
    host.gpu.streams.release(way.stream)
    spun.remove_node(viewer)


def told(*values: float) -> Result:
    """Return a result whose message tells its header and tensors."""

    def build(header: Header, *arrays: Any) -> String:
        rows = ';'.join(str(array.tolist()) for array in arrays)
        return String(data=f'{header.stamp_ns} {header.frame_id} {rows}')

    return Result((torch.tensor(values), torch.tensor([len(values)])), build)


def test_tensors_become_a_message_with_the_header_of_the_frame(way: Way) -> None:
    """In order, one per frame."""
    for stamp in range(1, 6):
        way.submit(stamp, text=told(0.5, stamp))
    texts = [message.data for message in way.texts.wait(5)]
    assert texts == [f'{i} camera_optical [0.5, {i}.0];[2]' for i in range(1, 6)]
    way.host.wait_count('processed', 5)
    timings = way.host.metrics().timings
    assert timings['latency'].count == timings['device'].count == 5


def test_a_tensor_may_be_written_again_after_it_was_submitted(way: Way) -> None:
    """What is published is what it held then: models reuse their outputs."""
    entered, gate = threading.Event(), threading.Event()

    def build(header: Header, array: Any) -> String:
        entered.set()
        assert gate.wait(5.0)
        return String(data=str(array.tolist()))

    tensor = torch.tensor([1, 2])
    way.submit(1, text=Result((tensor,), build))
    assert entered.wait(5.0)
    tensor.fill_(9)
    gate.set()
    assert way.texts.wait(1)[0].data == '[1, 2]'


def test_a_frame_goes_to_the_bus_and_to_ros(way: Way) -> None:
    """By reference there, as an Image with its own header here."""
    reader = way.host.gpu.bus.subscribe('/picture', 'reader')
    made = way.host.frame(77, width=5, height=3, value=9)
    way.submit(1, picture=made)
    assert reader.take(1.0) is made
    (message,) = way.pictures.wait(1)
    assert (message.header.stamp.nanosec, message.width, message.height) == (77, 5, 3)
    assert list(message.data) == [9] * 45


def test_an_item_for_the_bus_goes_beside_the_message(way: Way) -> None:
    """Also when nobody in ROS listens."""
    way.policy = 'never'
    reader = way.host.gpu.bus.subscribe('/picture', 'reader')
    item = object()
    way.submit(1, picture=Result((), lambda header: Image(), lambda *of: item))
    assert reader.take(1.0) is item
    way.host.wait_count('processed', 1)
    assert way.pictures.messages == []


def test_only_what_is_wanted_is_built(way: Way) -> None:
    """The others cost neither copy nor message."""
    way.policy = 'auto'
    built: list[str] = []

    def unwanted(header: Header, array: Any) -> String:
        built.append('other')
        return String()

    way.submit(1, text=told(1.0), other=Result((torch.zeros(1),), unwanted))
    way.texts.wait(1)
    way.host.wait_count('processed', 1)
    assert built == []


def test_a_message_that_cannot_be_built_costs_its_frame(way: Way) -> None:
    """It is counted as such and told; the next frame is published."""

    def fail(header: Header, array: Any) -> String:
        raise ValueError('no such class')

    way.submit(1, text=Result((torch.zeros(1),), fail))
    way.submit(2, text=told(2.0))
    assert way.texts.wait(1)[0].data.startswith('2 ')
    assert way.host.count('dropped_egress') == 1
    assert way.host.count('processed') == 1
    assert 'no such class' in way.host.metrics().error


def test_the_stage_waits_for_a_place(way: Way) -> None:
    """When frames are in flight; and goes on as soon as one is out."""
    entered, gate = threading.Event(), threading.Event()

    def build(header: Header, array: Any) -> String:
        entered.set()
        assert gate.wait(10.0)
        return String(data=str(header.stamp_ns))

    submitted: list[int] = []

    def stage() -> None:
        for stamp in range(1, 8):
            way.submit(stamp, text=Result((torch.zeros(1),), build))
            submitted.append(stamp)

    thread = threading.Thread(target=stage)
    thread.start()
    assert entered.wait(5.0)
    assert wait_until(lambda: len(submitted) == IN_FLIGHT)
    thread.join(0.2)
    assert len(submitted) == IN_FLIGHT
    gate.set()
    thread.join(5.0)
    assert [int(message.data) for message in way.texts.wait(7)] == list(range(1, 8))


def test_stop_publishes_what_is_in_flight(
    host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """And ends the thread."""
    viewer = make_node('viewer')
    spun.add_node(viewer)
    way = Way(host, make_node('source'), viewer)
    for stamp in (1, 2, 3):
        way.submit(stamp, text=told(np.pi))
    way.egress.stop()
    assert host.count('processed') == 3
    assert not [t for t in threading.enumerate() if t.name == 'egress /probe']
    assert len(way.texts.wait(3)) == 3
    host.gpu.streams.release(way.stream)
    spun.remove_node(viewer)


def test_what_was_published_is_not_in_use_any_more(way: Way) -> None:
    """The memory of a frame need not be kept for a stream that has read it."""
    frames = [way.host.frame(stamp, width=2, height=1) for stamp in (1, 2)]
    for frame in frames:
        frame.use(way.stream)
    way.submit(3, text=told(0.5))
    way.texts.wait(1)
    assert way.stream in frames[0]._users
    way.egress.acquire()
    batch = [(frame, {'text': told(0.5)}) for frame in frames]
    way.egress.submit(batch, way.stream, way.stream.record(timing=True))
    way.host.wait_count('processed', 3)
    assert not any(frame._users for frame in frames)


def test_few_wait_for_the_device_and_some_more_on_their_way_out(way: Way) -> None:
    """Whoever enqueues a frame behind those would only make it older."""
    older, newer = Later(), Later()
    way.egress._events.extend((older, newer))
    taken = [way.egress.acquire(blocking=False) for _ in range(ON_DEVICE + 1)]
    assert taken == [True] * ON_DEVICE + [False]
    older.ended = True
    more = [way.egress.acquire(blocking=False) for _ in range(IN_FLIGHT)]
    assert more == [True] * (IN_FLIGHT - ON_DEVICE) + [False] * ON_DEVICE
    assert [way.egress.release() for _ in range(IN_FLIGHT)] == [False] * (IN_FLIGHT - 1) + [True]


def test_a_lost_device_keeps_nobody_waiting(way: Way) -> None:
    """The work finds the error, and is told by whom it concerns."""
    lost = Later()
    lost.fault = CudaError('unspecified launch failure', sticky=True)
    way.egress._events.extend((lost, lost))
    assert [way.egress.acquire(blocking=False) for _ in range(ON_DEVICE + 1)] == [True] * 3
    for _ in range(ON_DEVICE + 1):
        way.egress.release()


def test_who_frees_a_place_tells_whether_it_was_the_last(way: Way) -> None:
    """Frames that wait have nobody else to begin with them then, unless others come."""
    calls: list[tuple[bool, int]] = []
    way.egress.freed = lambda idle: calls.append((idle, way.host.metrics().counts['processed']))
    way.egress.acquire()
    way.submit(1, text=told(0.5))
    assert wait_until(lambda: calls == [(False, 1)])
    assert way.egress.release()
    way.submit(2, text=told(0.5))
    assert wait_until(lambda: calls == [(False, 1), (True, 2)])
