# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that publish JPEG or PNG."""

from __future__ import annotations

from pathlib import Path
import time

from container_process import boxes_of
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.shared


def compressed(data: bytes, kind: str, stamp: int) -> CompressedImage:
    """Return a message."""
    message = CompressedImage(format=kind)
    message.data = data
    message.header.frame_id = 'camera_optical'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    return message


def test_jpeg_and_png_are_detected_and_garbage_costs_itself(
    ros: RosClient, yolox: str, shared_dir: Path
) -> None:
    """The same objects as in the raw picture, with the message's stamp."""
    answer = ros.load(
        'gpu_perception::ObjectDetector',
        parameters={
            'model': yolox,
            'input_transport': 'compressed',
            'input_reliability': 'reliable',
            'publish': 'always',
        },
    )
    assert answer.success, answer.error_message
    answers: dict[int, Detection2DArray] = {}
    ros.node.create_subscription(
        Detection2DArray, '/object_detections', lambda m: answers.update({stamp_of(m): m}), 10
    )
    camera = ros.node.create_publisher(CompressedImage, '/input_image/compressed', 5)
    ros.wait_state('/object_detector', 'active')
    wait_until(lambda: camera.get_subscription_count() == 1, 'nobody listens')
    time.sleep(0.5)
    path = shared_dir / 'data/photos/dog.jpg'
    png = cv2.imencode('.png', cv2.imread(str(path)))[1].tobytes()
    stamp = time.time_ns()
    for data, kind in ((b'no picture', 'jpeg'), (path.read_bytes(), 'jpeg'), (png, 'png')):
        stamp += 1_000_000
        camera.publish(compressed(data, kind, stamp))
        if kind == 'png' or data.startswith(b'\xff'):
            wait_until(lambda: stamp in answers, f'no answer to the {kind}')  # noqa: B023
            best = {name: box for name, score, box in reversed(boxes_of(answers[stamp]))}
            assert {'dog', 'bicycle', 'car'} <= set(best)
            assert np.abs(best['dog'] - (130, 220, 310, 540)).max() < 30
    assert len(answers) == 2
