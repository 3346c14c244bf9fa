# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in on a ROS topic, processed pictures and their calibration out, in another process."""

from __future__ import annotations

from collections.abc import Iterator
import threading
import time
from typing import Any

from container_process import boxes_of
from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import TIMEOUT_S
from container_process import wait_until
import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image
import skimage.data
import torch
from torchvision.ops import box_iou
from vision_msgs.msg import Detection2DArray

PROCESSOR = 'gpu_perception::ImageProcessor'
NODE = '/image_processor'
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
RGB = np.ascontiguousarray(skimage.data.astronaut()[20:380, 30:510])
HEIGHT, WIDTH = RGB.shape[:2]
K = np.array([[400.0, 0.0, 238.0], [0.0, 405.0, 182.0], [0.0, 0.0, 1.0]])
D = (-0.28, 0.09, 0.001, -0.0007, -0.01)
# OpenCV 4 rounds positions to 1/32 px: 255 / 64 at the sharpest edge, in each direction.
REMAP_TOLERANCE = 1 if int(cv2.__version__.partition('.')[0]) >= 5 else 8
NEW_K = np.array([[360.0, 0.0, 241.0], [0.0, 358.0, 178.0], [0.0, 0.0, 1.0]])


def calibration() -> CameraInfo:
    """Return a distorted camera of the picture's size."""
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob', d=list(D))
    info.k = K.reshape(-1).tolist()
    info.r = np.eye(3).reshape(-1).tolist()
    info.p = np.hstack((NEW_K, np.zeros((3, 1)))).reshape(-1).tolist()
    return info


class Answers:
    """Messages of one topic by stamp."""

    def __init__(self, ros: RosClient, kind: Any, topic: str) -> None:
        self._node, self.topic = ros.node, topic
        self._by_stamp: dict[int, Any] = {}
        self._arrived = threading.Condition()
        self._subscription = ros.node.create_subscription(kind, topic, self._collect, RELIABLE)

    def _collect(self, message: Any) -> None:
        with self._arrived:
            self._by_stamp[stamp_of(message)] = message
            self._arrived.notify_all()

    def of(self, stamp: int, timeout_s: float = TIMEOUT_S) -> Any:
        """Wait for the answer to a picture."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: stamp in self._by_stamp, timeout_s), (
                f'nothing on {self.topic} for the picture of {stamp} after {timeout_s} s'
            )
            return self._by_stamp[stamp]

    def __contains__(self, stamp: int) -> bool:
        """Return whether the answer is there."""
        return stamp in self._by_stamp

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


class Station:
    """A camera with calibration, and what an image processor makes of its pictures."""

    def __init__(self, ros: RosClient) -> None:
        self.ros = ros
        self.pictures = ros.node.create_publisher(Image, '/input_image', RELIABLE)
        self.calibrations = ros.node.create_publisher(CameraInfo, '/camera_info', RELIABLE)
        self.processed = Answers(ros, Image, '/processed_image')
        self.infos = Answers(ros, CameraInfo, '/processed_camera_info')
        self._stamp = time.time_ns()

    def load(self, *operations: str) -> None:
        """Load the processor and wait until everything is connected."""
        parameters = {'input_reliability': 'reliable', 'input_depth': 5}
        if operations:
            parameters['operations'] = list(operations)
        answer = self.ros.load(PROCESSOR, node_name=NODE[1:], parameters=parameters)
        assert answer.success, answer.error_message
        self.ros.wait_state(NODE, 'active')
        for publisher in (self.pictures, self.calibrations):
            wait_until(lambda p=publisher: p.get_subscription_count() == 1, 'not connected')
        for answers in (self.processed, self.infos):
            wait_until(
                lambda t=answers.topic: self.ros.node.count_publishers(t) == 1, 'not connected'
            )
        time.sleep(0.5)  # the processor learns of our subscriptions a little later

    def send(self, pixels: Any = RGB, encoding: str = 'rgb8') -> int:
        """Publish a picture and return its stamp."""
        self._stamp += 1_000_000
        message = picture_message(pixels, encoding, stamp_ns=self._stamp, padding=3)
        self.pictures.publish(message)
        return self._stamp

    def calibrate(self) -> None:
        """Publish the calibration; it counts from the next picture on."""
        info = calibration()
        info.header.stamp.sec = self._stamp // 10**9
        self.calibrations.publish(info)
        time.sleep(0.3)

    def process(self, pixels: Any = RGB, encoding: str = 'rgb8') -> Image:
        """Publish a picture and wait for what is made of it."""
        message: Image = self.processed.of(self.send(pixels, encoding))
        return message

    def change(self, *operations: str) -> Any:
        """Set the chain; returns the result."""
        return self.ros.set_parameter(NODE, 'operations', list(operations))

    def close(self) -> None:
        """Destroy publishers and subscriptions."""
        for answers in (self.processed, self.infos):
            answers.close()
        for publisher in (self.pictures, self.calibrations):
            self.ros.node.destroy_publisher(publisher)


@pytest.fixture
def station(ros: RosClient) -> Iterator[Station]:
    """Set up a camera; the test loads the processor."""
    station = Station(ros)
    yield station
    station.close()


def pixels_of(message: Image) -> Any:
    """Return (H, W) or (H, W, C)."""
    data = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    channels = {'mono8': 1, 'rgba8': 4, 'bgra8': 4}.get(message.encoding, 3)
    assert message.step == message.width * channels
    shape = (message.height, message.width) + ((channels,) if channels > 1 else ())
    return data.reshape(shape)


def difference(message: Image, expected: Any) -> int:
    """Return the largest difference, of 255."""
    got = pixels_of(message)
    assert got.shape == expected.shape
    return int(np.abs(got.astype(int) - expected.astype(int)).max())


def test_nothing_to_do_passes_pictures_on(station: Station) -> None:
    """An empty chain: same bytes, stamp and frame; no calibration, none published."""
    station.load()
    stamp = station.send()
    message = station.processed.of(stamp)
    assert stamp_of(message) == stamp
    assert message.header.frame_id == 'camera_optical'
    rows = np.frombuffer(message.data, np.uint8).reshape(HEIGHT, message.step)
    assert np.array_equal(rows[:, : 3 * WIDTH].reshape(RGB.shape), RGB)
    assert stamp not in station.infos


def test_picture_and_calibration_match(station: Station) -> None:
    """Rectified, cropped, resized: as OpenCV does it, and P says where a point in space lies."""
    station.load(
        'rectify',
        'crop x=40 y=30 width=400 height=300',
        'resize width=200',
        'convert encoding=bgr8',
    )
    station.calibrate()
    stamp = station.send()
    message = station.processed.of(stamp)
    maps = cv2.initUndistortRectifyMap(
        K, np.array(D), np.eye(3), NEW_K, (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    rectified = cv2.remap(RGB, *maps, cv2.INTER_LINEAR)[30:330, 40:440]
    expected = cv2.cvtColor(cv2.resize(rectified, (200, 150)), cv2.COLOR_RGB2BGR)
    assert message.encoding == 'bgr8'
    assert difference(message, expected) <= REMAP_TOLERANCE + 1
    info = station.infos.of(stamp)
    assert stamp_of(info) == stamp_of(message) == stamp
    assert info.header.frame_id == message.header.frame_id
    assert (info.width, info.height) == (message.width, message.height) == (200, 150)
    assert not any(info.d)
    assert np.allclose(info.r, np.eye(3).reshape(-1))
    fx, fy, cx, cy = 360.0, 358.0, 241.0 - 40, 178.0 - 30
    half = [fx / 2, 0, (cx + 0.5) / 2 - 0.5, 0, fy / 2, (cy + 0.5) / 2 - 0.5, 0, 0, 1]
    assert np.allclose(info.k, half)
    assert np.allclose(np.reshape(info.p, (3, 4))[:, :3].reshape(-1), half)


def test_change_applies_from_the_next_picture(station: Station) -> None:
    """A new chain counts at once; a wrong one is refused with the reason and the old goes on."""
    station.load('flip')
    assert difference(station.process(), cv2.flip(RGB, 1)) == 0
    assert station.change('rotate angle=90', 'convert encoding=mono8').successful
    turned = cv2.rotate(RGB, cv2.ROTATE_90_COUNTERCLOCKWISE)
    message = station.process()
    assert message.encoding == 'mono8'
    assert difference(message, cv2.cvtColor(turned, cv2.COLOR_RGB2GRAY)) <= 1
    for chain, words in (
        (['flip', 'gausian_blur'], 'did you mean gaussian_blur?'),
        (['gaussian_blur sigma=900'], 'expected 0.1 to 50 px'),
        (['model source=/nowhere/denoise.onnx'], 'does not exist'),
        (['model source=package://nobody/x.onnx'], "no ROS or Python package 'nobody'"),
    ):
        refused = station.change(*chain)
        assert not refused.successful
        assert words in refused.reason, refused.reason
        assert station.process().encoding == 'mono8'
    assert station.change('median size=5').successful
    assert difference(station.process(), cv2.medianBlur(RGB, 5)) == 0


def test_wrong_chain_is_not_loaded(ros: RosClient) -> None:
    """The load request says why."""
    answer = ros.load(PROCESSOR, parameters={'operations': ['resize width=wide']})
    assert not answer.success
    assert "width is 'wide'; expected a whole number" in answer.error_message


def test_pictures_that_do_not_fit_cost_themselves_only(station: Station) -> None:
    """Five kinds: each counted and explained in the diagnostics, the next good one processed."""
    told: dict[str, str] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(NODE):
                told.update({v.key: v.value for v in status.values})

    watch = station.ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    station.load('crop x=100 y=100 width=100 height=100')
    small = RGB[:150, :150].copy()
    grey = np.zeros((200, 200), np.uint8)
    bad: list[tuple[tuple[str, ...], Any, str, str]] = [
        (('crop x=100 y=100 width=100 height=100',), small, 'rgb8', 'leaves the picture'),
        (('rectify',), RGB, 'rgb8', 'publish camera_info'),
        (('gaussian_blur sigma=30',), small[:40], 'bgr8', 'set a smaller sigma'),
        (('clahe tiles_x=64',), grey[:9, :9].copy(), 'mono8', 'set fewer tiles'),
        (('flip', 'crop x=300'), grey, 'mono8', 'leaves the picture of 200x200'),
    ]
    for chain, pixels, encoding, words in bad:
        assert station.change(*chain).successful
        stamp = station.send(pixels, encoding)
        wait_until(lambda w=words: w in told.get('last_error', ''), f'not told: {words}')
        assert stamp not in station.processed
    station.ros.node.destroy_subscription(watch)
    assert station.change('flip').successful
    assert difference(station.process(), cv2.flip(RGB, 1)) == 0


@pytest.mark.shared
def test_detector_reads_the_result_on_the_bus(
    station: Station, ros: RosClient, yolox: str, shared_dir: Any
) -> None:
    """By remapping alone: no ROS subscription in between, boxes in pixels of the processed one."""
    station.load('flip', 'resize width=384')
    answer = ros.load(
        'gpu_perception::ObjectDetector',
        node_name='object_detector',
        remap_rules=['input_image:=processed_image'],
        parameters={'model': yolox, 'input_depth': 5},
    )
    assert answer.success, answer.error_message
    ros.wait_state('/object_detector', 'active')
    detections = Answers(ros, Detection2DArray, '/object_detections')
    wait_until(lambda: ros.node.count_publishers('/object_detections') == 1, 'not connected')
    time.sleep(0.5)
    assert ros.node.count_subscribers('/processed_image') == 1  # this test's own
    dog = cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))
    stamp = station.send(dog, 'bgr8')
    found = {name: box for name, score, box in boxes_of(detections.of(stamp)) if score > 0.6}
    detections.close()
    # By eye, the dog of the 768 x 576 photograph is at 130 to 310, 220 to 540.
    expected = np.array([[768 - 310, 220, 768 - 130, 540]]) / 2
    overlap = box_iou(torch.from_numpy(expected), torch.from_numpy(found['dog'][None]))
    assert float(overlap) > 0.7
    assert station.processed.of(stamp).width == 384
