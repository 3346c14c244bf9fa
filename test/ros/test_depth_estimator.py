# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in on a ROS topic, depth out, with a real network in another process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
import time
from typing import Any

from accuracy import depth_scores
from accuracy import require_scores
from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image
from sensor_msgs.msg import PointCloud2

pytestmark = pytest.mark.shared

PLUGIN = 'gpu_perception::DepthEstimator'
NODE = '/depth_estimator'
TOPICS = {'gpu_depth_map': Image, 'gpu_depth_color': Image, 'points': PointCloud2}
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
FX, FY, CX, CY = 518.0, 519.0, 325.5, 253.5


class DepthCamera:
    """A publisher of pictures with calibration, and a collector of what answers them."""

    def __init__(self, ros: RosClient) -> None:
        self.ros = ros
        self._answers: dict[str, dict[int, Any]] = defaultdict(dict)
        self._subscriptions: dict[str, Any] = {}
        self._image = ros.node.create_publisher(Image, '/image_raw', RELIABLE)
        self._info = ros.node.create_publisher(CameraInfo, '/camera_info', RELIABLE)
        self._stamp = time.time_ns()

    def watch(self, *topics: str) -> None:
        """Subscribe to outputs, and wait until the estimator takes pictures and knows."""
        for topic in topics:
            self._subscriptions[topic] = self.ros.node.create_subscription(
                TOPICS[topic], f'/{topic}', self._collector(topic), RELIABLE
            )
        wait_until(lambda: self._image.get_subscription_count() > 0, 'nobody takes pictures')
        for topic in topics:
            self.wait_output(topic)

    def wait_output(self, topic: str) -> None:
        """Publish until an output answers: the far side learns of subscriptions a little later."""
        end = time.monotonic() + 60.0
        while not self._answers[topic]:
            assert time.monotonic() < end, f'nothing on {topic}'
            self.calibrate()
            self.publish(np.zeros((48, 64, 3), np.uint8))
            time.sleep(0.1)

    def _collector(self, topic: str) -> Callable[[Any], None]:
        return lambda message: self._answers[topic].update({stamp_of(message): message})

    def calibrate(self, width: int = 640, height: int = 480) -> None:
        """Publish the calibration of the pictures in ``rgbd``."""
        info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
        info.k = [FX, 0.0, CX, 0.0, FY, CY, 0.0, 0.0, 1.0]
        info.p = [FX, 0.0, CX, 0.0, 0.0, FY, CY, 0.0, 0.0, 0.0, 1.0, 0.0]
        info.header.frame_id = 'camera_optical'
        self._info.publish(info)

    def publish(self, pixels: Any, encoding: str = 'bgr8') -> int:
        """Publish a picture and return its stamp."""
        self._stamp += 1_000_000
        self._image.publish(picture_message(pixels, encoding, stamp_ns=self._stamp))
        return self._stamp

    def publish_message(self, message: Image) -> None:
        """Publish any image message."""
        self._image.publish(message)

    def answer(self, topic: str, stamp: int) -> Any:
        """Wait for one output of a picture."""
        wait_until(lambda: stamp in self._answers[topic], f'no {topic} for {stamp}')
        return self._answers[topic][stamp]

    def depth(self, pixels: Any, encoding: str = 'bgr8') -> Any:
        """Publish a picture and return its depth map as an array."""
        return array(self.answer('gpu_depth_map', self.publish(pixels, encoding)))

    def silent(self, topic: str) -> bool:
        """Tell whether an output has never come."""
        return not self._answers[topic]

    def close(self) -> None:
        """Leave the topics."""
        for subscription in self._subscriptions.values():
            self.ros.node.destroy_subscription(subscription)
        self.ros.node.destroy_publisher(self._image)
        self.ros.node.destroy_publisher(self._info)


def array(message: Image) -> Any:
    """Return an image message as an array, by its own encoding and step."""
    kind, channels = {'32FC1': ('<f4', 1), '16UC1': ('<u2', 1), 'rgb8': ('u1', 3)}[
        message.encoding
    ]
    item = np.dtype(kind).itemsize
    assert message.step == message.width * channels * item
    assert len(message.data) == message.step * message.height
    pixels = np.frombuffer(message.data, kind).reshape(message.height, message.width, channels)
    return pixels if channels > 1 else pixels[..., 0]


@pytest.fixture(scope='module')
def fastdepth(shared_dir: Path) -> str:
    """Return the path of a real network of indoor depth in metres."""
    return str(shared_dir / 'models/depth/fastdepth_pruned_nyu_224.onnx')


@pytest.fixture(scope='module')
def room(shared_dir: Path) -> Any:
    """Read a photograph of a depth camera, in BGR."""
    return cv2.imread(str(shared_dir / 'data/rgbd/color/1.png'))


def parameters(model: str, **others: Any) -> dict[str, Any]:
    """Return what FastDepth needs."""
    return {
        'model': model,
        'normalization': 'unit',
        'input_reliability': 'reliable',
        'input_depth': 5,
        **others,
    }


@pytest.fixture
def camera(ros: RosClient, fastdepth: str) -> Iterator[DepthCamera]:
    """Connect a ROS camera to a depth estimator; nothing is watched yet."""
    answer = ros.load(PLUGIN, node_name='depth_estimator', parameters=parameters(fastdepth))
    assert answer.success, answer.error_message
    camera = DepthCamera(ros)
    ros.wait_state(NODE, 'active')
    yield camera
    camera.close()


def test_accuracy_through_ros(camera: DepthCamera, shared_dir: Path) -> None:
    """The authors' prediction within 3 %, the sensor's depth with a correlation of .95."""
    camera.watch('gpu_depth_map')
    require_scores(depth_scores(shared_dir, camera.depth))


def test_all_outputs_agree(camera: DepthCamera, room: Any) -> None:
    """Stamp, frame, geometry and colour of map, picture and points of one camera picture."""
    camera.watch('gpu_depth_map', 'gpu_depth_color', 'points')
    camera.calibrate()
    time.sleep(0.3)  # the calibration takes another way than the pictures
    stamp = camera.publish(room)
    messages = {topic: camera.answer(topic, stamp) for topic in TOPICS}
    assert {m.header.frame_id for m in messages.values()} == {'camera_optical'}
    depth = array(messages['gpu_depth_map'])
    colors = array(messages['gpu_depth_color'])
    assert depth.shape == colors.shape[:2] == room.shape[:2]
    near, far = np.nanargmin(depth), np.nanargmax(depth)
    turbo = cv2.applyColorMap(np.array([[255, 0]], np.uint8), cv2.COLORMAP_TURBO)[0, :, ::-1]
    assert np.array_equal(colors.reshape(-1, 3)[[near, far]], turbo)
    cloud = messages['points']
    assert (cloud.width, cloud.height, cloud.is_dense) == (320, 240, False)
    assert (cloud.point_step, cloud.row_step) == (16, 16 * 320)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        (name, 4 * i, 7, 1) for i, name in enumerate(('x', 'y', 'z', 'rgb'))
    ]
    points = np.frombuffer(cloud.data, '<f4').reshape(240, 320, 4)
    v, u = np.mgrid[0:480:2, 0:640:2]
    z = depth[::2, ::2]
    np.testing.assert_allclose(points[..., 0], (u - CX) / FX * z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points[..., 1], (v - CY) / FY * z, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(points[..., 2], z)
    bgr0 = np.frombuffer(cloud.data, np.uint8).reshape(240, 320, 16)[..., 12:]
    assert np.array_equal(bgr0[..., :3], room[::2, ::2])


def test_points_need_a_calibration_and_depth_does_not(camera: DepthCamera, room: Any) -> None:
    """Without camera_info the map comes and the points do not."""
    camera.calibrate = lambda *_: None  # type: ignore[method-assign]
    camera.watch('gpu_depth_map')
    points = camera.ros.node.create_subscription(
        PointCloud2, '/points', camera._collector('points'), RELIABLE
    )
    time.sleep(0.5)
    for _ in range(3):
        assert np.isfinite(camera.depth(room)).mean() > 0.9
    camera.ros.node.destroy_subscription(points)
    assert camera.silent('points')


def test_changes_apply_from_the_next_frame(camera: DepthCamera, room: Any) -> None:
    """Scale, shift, kind, range, encoding and focal length obey at once, and back again."""
    ros = camera.ros
    camera.watch('gpu_depth_map')
    camera.calibrate()
    time.sleep(0.3)
    plain = camera.depth(room)
    middle = float(np.nanmedian(plain))
    ratio = FX * 224 / 640 / 181.3
    cases: tuple[tuple[str, Any, Callable[[Any], Any]], ...] = (
        ('scale', 2.0, lambda d: 2 * d),
        ('shift', 0.5, lambda d: d + 0.5),
        ('kind', 'inverse', lambda d: 1 / d),
        ('max_depth_m', middle, lambda d: np.where(d <= np.float32(middle), d, np.nan)),
        ('model_focal_px', 181.3, lambda d: d * ratio),
        ('encoding', '16UC1', lambda d: np.round(d * 1000).astype(np.uint16)),
    )
    for name, value, expected in cases:
        before = ros.get_parameter(NODE, name)
        result = ros.set_parameter(NODE, name, value)
        assert result.successful, result.reason
        found = camera.depth(room)
        np.testing.assert_allclose(found, expected(plain), rtol=1e-5, err_msg=name)
        assert ros.set_parameter(NODE, name, before).successful
        np.testing.assert_array_equal(camera.depth(room), plain)


def test_changes_that_cannot_work_are_refused(camera: DepthCamera, fastdepth: str) -> None:
    """With the reason, and the estimator goes on."""
    for name, value, reason in (
        ('model', '', 'midas/v21_small'),
        ('model', '/no/such.onnx', 'does not exist'),
        ('min_depth_m', 200.0, 'max_depth_m'),
        ('kind', 'disparity', 'inverse'),
        ('input_width', 100, 'both'),
        ('output_index', 1, 'output_index'),
        ('normalization', 'none', 'imagenet'),
    ):
        result = camera.ros.set_parameter(NODE, name, value)
        assert not result.successful, name
        assert reason in result.reason, result.reason
    assert camera.ros.get_parameter(NODE, 'model') == fastdepth
    camera.watch('gpu_depth_map')


def test_another_fit_while_frames_flow(camera: DepthCamera, room: Any) -> None:
    """The new input is prepared aside and swapped; maps stay on the source's pixels."""
    camera.watch('gpu_depth_map')
    plain = camera.depth(room)
    assert camera.ros.set_parameter(NODE, 'input_fit', 'letterbox_center').successful
    boxed = camera.depth(room)
    assert boxed.shape == plain.shape
    assert np.corrcoef(boxed.reshape(-1), plain.reshape(-1))[0, 1] > 0.8
    assert not np.allclose(boxed, plain)


def bad_pictures(picture: Any) -> dict[str, Image]:
    """Return messages that no estimator can use."""

    def message(**fields: Any) -> Image:
        bad = picture_message(picture, 'bgr8', stamp_ns=1)
        for name, value in fields.items():
            setattr(bad, name, value)
        return bad

    short = message()
    short._data = short._data[: len(short._data) // 2]
    return {
        'encoding': message(encoding='jpeg2000'),
        'depth': message(encoding='32FC1', width=160),
        'step': message(step=5),
        'data': short,
        'size': message(height=2**31, width=2**31),
    }


def test_bad_pictures_cost_themselves_only(camera: DepthCamera, room: Any) -> None:
    """Each is counted and explained in the diagnostics; the next good picture is answered."""
    camera.watch('gpu_depth_map')
    told: dict[str, dict[str, str]] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            values = {v.key: v.value for v in status.values}
            told[status.name.partition(': ')[2]] = {**values, 'text': status.message}

    def lost() -> int:
        keys = (('ingress /image_raw', 'dropped_invalid'), (NODE, 'dropped_error'))
        return sum(int(told.get(name, {}).get(key, 0)) for name, key in keys)

    watch = camera.ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    for count, (kind, message) in enumerate(bad_pictures(room).items(), 1):
        camera.publish_message(message)
        wait_until(lambda count=count: lost() == count, f'{kind} not counted in {told}')
    camera.ros.node.destroy_subscription(watch)
    assert np.isfinite(camera.depth(room)).mean() > 0.9


def test_unknown_focal_length_costs_the_frame(camera: DepthCamera, room: Any) -> None:
    """A wrong depth is worse than none."""
    camera.watch('gpu_depth_map')
    ros = camera.ros
    answer = ros.load(
        PLUGIN,
        node_name='far',
        remap_rules=[f'{topic}:=far_{topic}' for topic in ('camera_info', *TOPICS)],
        parameters=parameters(ros.get_parameter(NODE, 'model'), model_focal_px=200.0)
        | {'publish': 'always'},
    )
    assert answer.success, answer.error_message
    ros.wait_state('/far', 'active')
    told: dict[str, str] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith('/far'):
                told['text'] = status.message + str([v.value for v in status.values])

    watch = ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    assert np.isfinite(camera.depth(room)).mean() > 0.9
    wait_until(lambda: 'focal length' in told.get('text', ''), 'no complaint')
    ros.node.destroy_subscription(watch)
