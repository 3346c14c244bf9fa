# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in on a ROS topic, class maps out, with a real network in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import time
from typing import Any

from accuracy import require_scores
from accuracy import segmentation_scores
from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from picture_viewer import PictureViewer
from picture_viewer import RELIABLE
import pytest
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

pytestmark = pytest.mark.shared

PLUGIN = 'gpu_perception::SemanticSegmenter'
NODE = '/semantic_segmenter'


class Viewer(PictureViewer):
    """A camera of a segmenter and a collector of its maps."""

    def __init__(self, ros: RosClient, *topics: str) -> None:
        super().__init__(ros, '/image_raw', dict.fromkeys(topics, Image))

    def segment(self, pixels: Any, encoding: str = 'bgr8') -> Any:
        """Publish a picture and return its class ids, (H, W)."""
        message = self.answer('gpu_semantic_map', self.publish(pixels, encoding))
        assert message.encoding == 'mono8'
        return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


@pytest.fixture
def viewer(ros: RosClient, shared_dir: Path) -> Iterator[Viewer]:
    """Connect a ROS camera to a segmenter."""
    model = shared_dir / 'models/segmentation/deeplabv3_mnv2_voc21_513.onnx'
    parameters = {
        'model': str(model),
        'normalization': 'symmetric',
        'input_reliability': 'reliable',
        'input_depth': 5,
    }
    answer = ros.load(PLUGIN, parameters=parameters)
    assert answer.success, answer.error_message
    ros.wait_state(NODE, 'active')
    viewer = Viewer(ros, 'gpu_semantic_map')
    yield viewer
    viewer.close()


@pytest.fixture(scope='module')
def bird(shared_dir: Path) -> Any:
    """Read a photograph of a bird, in BGR."""
    return cv2.imread(str(shared_dir / 'data/photos/bird_segmentation.bmp'))


def test_the_bird_is_where_it_is(viewer: Viewer, bird: Any, shared_dir: Path) -> None:
    """Overlap with its mask, at the picture's size, in every encoding."""
    mask = (
        cv2.imread(
            str(shared_dir / 'data/photos/bird_segmentation_mask.bmp'), cv2.IMREAD_GRAYSCALE
        )
        > 0
    )
    assert mask.any()
    wide = bird[60:460]
    for pixels, encoding, truth in (
        (bird, 'bgr8', mask),
        (cv2.cvtColor(bird, cv2.COLOR_BGR2RGB), 'rgb8', mask),
        (wide, 'bgr8', mask[60:460]),
    ):
        ids = viewer.segment(pixels, encoding)
        assert ids.shape == pixels.shape[:2]
        overlap = ((ids == 3) & truth).sum() / ((ids == 3) | truth).sum()
        print(f'{encoding} {pixels.shape}: bird IoU {overlap:.3f}')
        assert overlap > 0.85


def test_accuracy_on_real_photographs(viewer: Viewer, shared_dir: Path) -> None:
    """Every one of 100 COCO photographs is answered; unlabelled pixels count for nothing."""
    require_scores(segmentation_scores(shared_dir, viewer.segment))


def test_colors_and_palette(viewer: Viewer, ros: RosClient, bird: Any) -> None:
    """The colour picture is the map seen through the palette, which changes live."""
    other = Viewer(ros, 'gpu_semantic_color', 'gpu_semantic_map')

    def colored() -> tuple[Any, Any]:
        stamp = other.publish(bird)
        picture = other.answer('gpu_semantic_color', stamp)
        assert picture.encoding == 'rgb8'
        ids = other.answer('gpu_semantic_map', stamp)
        return (
            np.frombuffer(picture.data, np.uint8).reshape(bird.shape),
            np.frombuffer(ids.data, np.uint8).reshape(bird.shape[:2]),
        )

    pixels, ids = colored()
    assert {tuple(c) for c in pixels[ids == 3].tolist()} == {(128, 128, 0)}
    assert ros.set_parameter(NODE, 'palette', ['bird=#0a141e']).successful
    pixels, ids = colored()
    assert {tuple(c) for c in pixels[ids == 3].tolist()} == {(10, 20, 30)}
    refused = ros.set_parameter(NODE, 'palette', ['brid=#0a141e'])
    assert not refused.successful
    assert 'bird' in refused.reason
    other.close()


def test_uncertain_pixels_become_void(viewer: Viewer, ros: RosClient, bird: Any) -> None:
    """A floor takes pixels at the borders away, and can be lowered again."""
    plain = viewer.segment(bird)
    assert ros.set_parameter(NODE, 'confidence_floor', 0.9).successful
    floored = viewer.segment(bird)
    void = floored == 255
    assert 0.001 < void.mean() < 0.5
    assert np.array_equal(floored[~void], plain[~void])
    assert ros.set_parameter(NODE, 'void_class', 0).successful
    assert not (viewer.segment(bird) == 255).any()
    assert ros.set_parameter(NODE, 'confidence_floor', 0.0).successful
    assert np.array_equal(viewer.segment(bird), plain)
    assert not ros.set_parameter(NODE, 'confidence_floor', 1.5).successful


def test_names_of_the_classes_are_latched(viewer: Viewer, ros: RosClient, bird: Any) -> None:
    """Two subscribers that come late get them; a change is told."""
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    told: list[list[LabelInfo]] = [[], []]
    watches = []
    for box in told:
        watches.append(ros.node.create_subscription(LabelInfo, '/label_info', box.append, qos))
        end = time.monotonic() + 20.0
        while not box:
            assert time.monotonic() < end, 'no label_info'
            viewer.segment(bird)
    assert told[0][0].header.frame_id == 'camera_optical'
    names = {c.class_id: c.class_name for c in told[1][0].class_map}
    assert len(names) == 21
    assert names[3] == 'bird'
    before = len(told[0])
    assert ros.set_parameter(NODE, 'confidence_floor', 0.25).successful
    viewer.segment(bird)
    wait_until(lambda: len(told[0]) > before, 'no news')
    assert told[0][-1].threshold == 0.25
    for watch in watches:
        ros.node.destroy_subscription(watch)


def test_another_component_reads_the_map_by_reference(
    viewer: Viewer, ros: RosClient, bird: Any
) -> None:
    """A second segmenter reads the first one's colours off the bus, without ROS."""
    answer = ros.load(
        PLUGIN,
        node_name='second',
        remap_rules=[
            'image_raw:=gpu_semantic_color',
            'gpu_semantic_map:=second_map',
            'gpu_semantic_color:=second_color',
            'label_info:=second_info',
        ],
        parameters={
            'model': 'torchvision/lraspp_mobilenet_v3_large',
            'weights': 'none',
            'input_width': 64,
            'input_height': 64,
        },
    )
    assert answer.success, answer.error_message
    ros.wait_state('/second', 'active')
    maps: dict[int, Image] = {}
    watch = ros.node.create_subscription(
        Image, '/second_map', lambda m: maps.update({stamp_of(m): m}), RELIABLE
    )
    wait_until(lambda: ros.node.count_publishers('/second_map') == 1, 'no second map')
    end = time.monotonic() + 20.0
    stamp = 0
    while stamp not in maps:
        assert time.monotonic() < end, 'the second segmenter does not answer'
        stamp = viewer.publish(bird)
        viewer.answer('gpu_semantic_map', stamp)
        time.sleep(0.2)
    assert (maps[stamp].height, maps[stamp].width) == bird.shape[:2]
    assert ros.node.count_subscribers('/gpu_semantic_color') == 0
    ros.node.destroy_subscription(watch)


def test_what_cannot_work_is_refused(viewer: Viewer, ros: RosClient, bird: Any) -> None:
    """With the reason, and nothing changes."""
    for name, value, reason in (
        ('model', 'torchvision/resnet18', 'not for segmentation'),
        ('normalization', 'auto', 'normalization auto'),
        ('labels', ['one', 'two'], '21 classes'),
        ('input_width', 300, 'set both or neither'),
        ('palette', ['blue'], 'no colour'),
    ):
        refused = ros.set_parameter(NODE, name, value)
        assert not refused.successful, name
        assert reason in refused.reason
    assert 3 in viewer.segment(bird)


def test_bad_pictures_cost_themselves_only(viewer: Viewer, ros: RosClient, bird: Any) -> None:
    """Each is counted and explained; the next good picture is answered."""
    told: dict[str, str] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            if 'image_raw' in status.name or status.name.endswith('semantic_segmenter'):
                told.update({f'{status.name} {v.key}': v.value for v in status.values})

    watch = ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    for kind, fields in (
        ('encoding', {'encoding': 'jpeg2000'}),
        ('step', {'step': 5}),
        ('size', {'height': 2**31}),
        ('depth instead of colour', {'encoding': '32FC1', 'width': bird.shape[1] // 2}),
        ('data', {'height': 5 * bird.shape[0]}),
    ):
        message = picture_message(bird, 'bgr8', stamp_ns=1)
        for name, value in fields.items():
            setattr(message, name, value)
        before = faults(told)
        viewer.publish_message(message)
        wait_until(lambda before=before: faults(told) == before + 1, f'{kind} not counted')
    ros.node.destroy_subscription(watch)
    assert 3 in viewer.segment(bird)


def faults(told: dict[str, str]) -> int:
    """Return how many pictures were refused, before and in the stage."""
    keys = ('dropped_invalid', 'dropped_error')
    return sum(int(v) for k, v in told.items() if k.endswith(keys) and v.isdigit())
