# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Messages say what the arrays say: stamps, sizes, boxes and every byte."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from gpu_components.messages import detections_message
from gpu_components.messages import header_message
from gpu_components.messages import image_message
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


def test_a_picture_survives_serialisation() -> None:
    """Bytes, padding and all fields."""
    layout = ImageFormat(5, 3, 'bgr8', 18)
    data = np.arange(54, dtype=np.uint8)
    message = image_message(HEADER, layout, data)
    arrived = deserialize_message(serialize_message(message), Image)
    assert (arrived.width, arrived.height) == (5, 3)
    assert (arrived.encoding, arrived.step) == ('bgr8', 18)
    assert (arrived.header.stamp.sec, arrived.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert arrived.header.frame_id == 'left_optical'
    assert list(arrived.data) == data.tolist()


def test_a_picture_is_referred_to_not_copied() -> None:
    """Until it is serialised."""
    data = np.zeros(12, np.uint8)
    message = image_message(HEADER, ImageFormat(2, 2, 'rgb8', 6), data)
    assert np.shares_memory(message._data, data)


def test_boxes_become_centre_and_size() -> None:
    """In pixels; scores and names in order; the header on each."""
    boxes = np.array([[10, 20, 30, 60], [0.5, 0.25, 1.5, 0.75]], np.float32)
    scores = np.array([0.75, 0.5], np.float32)
    message = detections_message(HEADER, boxes, scores, ['dog', '7'])
    arrived = deserialize_message(serialize_message(message), Detection2DArray)
    first, second = arrived.detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20.0, 40.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (20.0, 40.0)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (1.0, 0.5)
    assert (second.bbox.size_x, second.bbox.size_y) == (1.0, 0.5)
    assert [d.results[0].hypothesis.class_id for d in arrived.detections] == ['dog', '7']
    assert [d.results[0].hypothesis.score for d in arrived.detections] == [0.75, 0.5]
    assert first.header == second.header == arrived.header == header_message(HEADER)


def test_nothing_found_is_a_message_too() -> None:
    """With the header of its picture."""
    message = detections_message(HEADER, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])
    assert message.header == header_message(HEADER)
    assert len(message.detections) == 0


def test_arrays_of_different_lengths_are_refused() -> None:
    """Rather than cut to the shortest."""
    with pytest.raises(ValueError, match=r'shorter|longer'):
        detections_message(HEADER, np.zeros((2, 4), np.float32), np.zeros(1, np.float32), ['a'])
