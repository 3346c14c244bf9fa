# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Messages say what the arrays say, in the very bytes that rclpy would write."""

from __future__ import annotations

from collections.abc import Sequence
import random
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from sensor_msgs.msg import PointCloud2
from sensor_msgs.msg import PointField
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2D
from vision_msgs.msg import Detection2DArray
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import ObjectHypothesisWithPose

from gpu_components.detection_messages import classification_message
from gpu_components.detection_messages import detections_message
from gpu_components.detection_messages import Named
from gpu_components.messages import header_message
from gpu_components.messages import image_message
from gpu_components.point_cloud import point_cloud_message
from gpu_components.serialized import Serialized
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

HEADER = Header(1_700_000_000_123_456_789, 'left_optical')


@pytest.mark.parametrize(
    ('stamp_ns', 'sec', 'nanosec'),
    [(0, 0, 0), (999_999_999, 0, 999_999_999), (10**9, 1, 0), (-1, -1, 999_999_999)],
)
def test_stamps_are_exact(stamp_ns: int, sec: int, nanosec: int) -> None:
    """To the nanosecond, also before the epoch."""
    stamp = header_message(Header(stamp_ns, '')).stamp
    assert (stamp.sec, stamp.nanosec) == (sec, nanosec)


def require_same(written: Serialized, expected: Any) -> None:
    """Compare with what rclpy writes, which leaves chance values between the fields."""
    ours, theirs = bytes(written), serialize_message(expected)
    assert len(ours) == len(theirs)
    assert all(a in (b, 0) for a, b in zip(ours, theirs, strict=True))
    assert deserialize_message(ours, type(expected)) == expected


def random_header(rng: random.Random) -> Header:
    """Return any stamp, and a frame of any length."""
    stamp_ns = rng.randrange(-(2**31) * 10**9, 2**31 * 10**9)
    return Header(stamp_ns, rng.choice(('', 'カメラ', 'c' * 300)) + 'x' * rng.randrange(9))


def random_classes(rng: random.Random) -> Named:
    """Return up to three classes with names of any length."""
    names = ('', 'größe', 'traffic light', 'n' * 257)
    return [
        (rng.choice(names) + 'a' * rng.randrange(9), rng.random()) for _ in range(rng.randrange(4))
    ]


def detections(header: Header, boxes: Any, classes: Sequence[Named]) -> Detection2DArray:
    """Return the message as objects."""
    stamp = header_message(header)
    message = Detection2DArray(header=stamp)
    for (left, top, right, bottom), named in zip(boxes.tolist(), classes, strict=True):
        detection = Detection2D(header=stamp)
        detection.bbox.center.position.x = (left + right) / 2
        detection.bbox.center.position.y = (top + bottom) / 2
        detection.bbox.size_x, detection.bbox.size_y = right - left, bottom - top
        detection.results = [
            ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
            for name, score in named
        ]
        message.detections.append(detection)
    return message


@pytest.mark.parametrize('seed', range(60))
def test_detections_are_written_as_rclpy_writes_them(seed: int) -> None:
    """None, one and many, with none, one and several classes, names and frames of any length."""
    rng = random.Random(seed)
    count = rng.choice((0, 1, 2, 9))
    boxes = np.random.default_rng(seed).uniform(-10, 4000, (count, 4)).astype(np.float32)
    classes = [random_classes(rng) for _ in boxes]
    header = random_header(rng)
    expected = detections(header, boxes, classes)
    require_same(detections_message(header, boxes, iter(classes)), expected)


@pytest.mark.parametrize('seed', range(30))
def test_classes_are_written_as_rclpy_writes_them(seed: int) -> None:
    """None and several, names and frames of any length."""
    rng = random.Random(seed)
    header, classes = random_header(rng), random_classes(rng)
    expected = Classification(
        header=header_message(header),
        results=[ObjectHypothesis(class_id=name, score=score) for name, score in classes],
    )
    require_same(classification_message(header, classes), expected)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgra8', 'mono8', '32FC1', 'yuv422_yuy2'])
@pytest.mark.parametrize('seed', range(6))
def test_a_picture_is_written_as_rclpy_writes_it(encoding: str, seed: int) -> None:
    """Bytes, padding and all fields."""
    rng = random.Random(seed)
    layout = ImageFormat(rng.randrange(2, 9, 2), rng.randrange(1, 9), encoding, 36)
    data = np.frombuffer(rng.randbytes(layout.nbytes), np.uint8)
    header = random_header(rng)
    expected = Image(
        header=header_message(header),
        width=layout.width,
        height=layout.height,
        encoding=encoding,
        step=36,
        data=data.tolist(),
    )
    require_same(image_message(header, layout, data), expected)


@pytest.mark.parametrize('seed', range(6))
def test_points_are_written_as_rclpy_writes_them(seed: int) -> None:
    """Fields, sizes and every byte."""
    rng = random.Random(seed)
    rows, columns = rng.randrange(1, 6), rng.randrange(1, 6)
    points = np.random.default_rng(seed).integers(0, 2**31, (rows, columns, 4), np.int32)
    header = random_header(rng)
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(('x', 'y', 'z', 'rgb'))
    ]
    expected = PointCloud2(
        header=header_message(header),
        height=rows,
        width=columns,
        fields=fields,
        point_step=16,
        row_step=16 * columns,
        data=list(points.tobytes()),
    )
    require_same(point_cloud_message(header, points), expected)


def test_a_picture_is_referred_to_not_copied() -> None:
    """Until it is published."""
    data = np.zeros(12, np.uint8)
    message = image_message(HEADER, ImageFormat(2, 2, 'rgb8', 6), data)
    assert any(part is data for part in message.parts)


def test_boxes_become_centre_and_size() -> None:
    """In pixels; scores and names in order; the header on each."""
    boxes = np.array([[10, 20, 30, 60], [0.5, 0.25, 1.5, 0.75]], np.float32)
    message = detections_message(HEADER, boxes, [[('dog', 0.75)], [('7', 0.5)]])
    arrived = deserialize_message(bytes(message), Detection2DArray)
    first, second = arrived.detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20.0, 40.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (20.0, 40.0)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (1.0, 0.5)
    assert (second.bbox.size_x, second.bbox.size_y) == (1.0, 0.5)
    assert [d.results[0].hypothesis.class_id for d in arrived.detections] == ['dog', '7']
    assert [d.results[0].hypothesis.score for d in arrived.detections] == [0.75, 0.5]
    assert first.header == second.header == arrived.header == header_message(HEADER)


@pytest.mark.parametrize('count', [0, 2])
def test_boxes_without_or_beyond_their_classes_are_refused(count: int) -> None:
    """Rather than cut to the shortest."""
    with pytest.raises(ValueError, match=r'shorter|longer'):
        detections_message(HEADER, np.zeros((1, 4), np.float32), [[('a', 1.0)]] * count)
