# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in on a ROS topic, names out, with a real network in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy import classification_scores
from accuracy import require_scores
from container_process import boxes_of
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
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.shared

PLUGIN = 'gpu_perception::ImageClassifier'
NODE = '/image_classifier'
TOPICS = {
    'classification': Classification,
    'classified_detections': Detection2DArray,
    'optimized_output': Image,
}


class Viewer(PictureViewer):
    """A camera of a classifier and a collector of its outputs."""

    def __init__(self, ros: RosClient, *topics: str) -> None:
        super().__init__(ros, '/input_image', {topic: TOPICS[topic] for topic in topics})

    def ask(self, pixels: Any, encoding: str = 'bgr8', topic: str = 'classification') -> Any:
        """Publish a picture and wait for its answer."""
        return self.answer(topic, self.publish(pixels, encoding))


@pytest.fixture(scope='module')
def parameters(shared_dir: Path) -> dict[str, Any]:
    """Return the parameters of a real classifier; its label file has one line more."""
    folder = shared_dir / 'models/classification'
    return {
        'model': str(folder / 'efficientnet_lite0_imagenet.onnx'),
        'labels': str(folder / 'imagenet_labels_1001.txt'),
        'normalization': 'imagenet',
        'input_reliability': 'reliable',
        'input_depth': 5,
    }


@pytest.fixture
def viewer(ros: RosClient, parameters: dict[str, Any]) -> Iterator[Viewer]:
    """Connect a ROS camera to a classifier."""
    answer = ros.load(PLUGIN, parameters=parameters)
    assert answer.success, answer.error_message
    ros.wait_state(NODE, 'active')
    viewer = Viewer(ros, 'classification')
    yield viewer
    viewer.close()


@pytest.fixture(scope='module')
def photos(shared_dir: Path) -> dict[str, Any]:
    """Read photographs, in BGR."""
    names = ('hot_dog', 'parrot', 'dog')
    return {name: cv2.imread(str(shared_dir / f'data/photos/{name}.jpg')) for name in names}


def test_photographs_get_their_names(viewer: Viewer, shared_dir: Path) -> None:
    """Right with the source's stamp and frame, five classes in falling order."""

    def classify(picture: Any) -> tuple[str, float]:
        message = viewer.ask(picture)
        assert message.header.frame_id == 'camera_optical'
        assert len(message.results) == 5
        scores = [result.score for result in message.results]
        assert scores == sorted(scores, reverse=True)
        return message.results[0].class_id, scores[0]

    require_scores(classification_scores(shared_dir, classify))


def test_the_name_does_not_depend_on_the_encoding(viewer: Viewer, photos: Any) -> None:
    """Nor does the score, much."""
    expected = viewer.ask(photos['parrot']).results[0]
    rgb = cv2.cvtColor(photos['parrot'], cv2.COLOR_BGR2RGB)
    alpha = np.dstack((photos['parrot'], np.full(rgb.shape[:2], 9, np.uint8)))
    for pixels, encoding in ((rgb, 'rgb8'), (alpha, 'bgra8')):
        best = viewer.ask(pixels, encoding).results[0]
        assert best.class_id == expected.class_id
        assert best.score == pytest.approx(expected.score, abs=0.01)


def test_changes_apply_from_the_next_frame(viewer: Viewer, ros: RosClient, photos: Any) -> None:
    """Number, threshold and format; what cannot be is refused with the reason."""
    assert ros.set_parameter(NODE, 'top_k', 2).successful
    assert len(viewer.ask(photos['parrot']).results) == 2
    assert ros.set_parameter(NODE, 'confidence_threshold', 0.5).successful
    assert len(viewer.ask(photos['parrot']).results) == 1
    assert ros.set_parameter(NODE, 'class_id_format', 'index').successful
    assert viewer.ask(photos['parrot']).results[0].class_id == '88'
    for name, value, reason in (
        ('top_k', 0, ''),
        ('normalization', 'auto', 'normalization auto'),
        ('labels', ['one', 'two'], '1000 classes'),
        ('model', 'torchvision/fcn_resnet50', 'not for classification'),
        ('regions', True, ''),
    ):
        refused = ros.set_parameter(NODE, name, value)
        assert not refused.successful, name
        assert reason in refused.reason
    assert viewer.ask(photos['parrot']).results[0].class_id == '88'


def test_another_network_while_frames_flow(
    viewer: Viewer, ros: RosClient, parameters: dict[str, Any], photos: Any, tmp_path: Path
) -> None:
    """One that cannot be loaded is refused and the old one goes on; a good one is swapped."""
    for model in ('torchvision/resnet999', '/nowhere/none.onnx'):
        refused = ros.set_parameter(NODE, 'model', model)
        assert not refused.successful
        assert model.rpartition('/')[2] in refused.reason
    assert viewer.ask(photos['parrot']).results[0].class_id == 'macaw'
    moved = tmp_path / 'moved.onnx'
    moved.write_bytes(Path(parameters['model']).read_bytes())
    assert ros.set_parameter(NODE, 'model', str(moved)).successful
    assert viewer.ask(photos['parrot']).results[0].class_id == 'macaw'
    assert ros.set_parameter(NODE, 'labels', 'auto').successful
    assert viewer.ask(photos['hot_dog']).results[0].class_id == 'hotdog'


def test_annotated_picture_only_while_subscribed(
    viewer: Viewer, ros: RosClient, photos: Any
) -> None:
    """The picture itself with the names in its corner."""
    other = Viewer(ros, 'optimized_output')
    picture = other.ask(photos['hot_dog'], topic='optimized_output')
    other.close()
    pixels = np.frombuffer(picture.data, np.uint8).reshape(photos['hot_dog'].shape)
    changed = np.any(pixels != photos['hot_dog'], axis=2)
    assert 0.005 < changed.mean() < 0.5
    assert not changed[len(changed) // 2 :].any()


def test_bad_pictures_cost_themselves_only(viewer: Viewer, ros: RosClient, photos: Any) -> None:
    """Each is counted and explained; the next good picture is answered."""
    told: dict[str, str] = {}

    def collect(message: DiagnosticArray) -> None:
        for status in message.status:
            if 'input_image' in status.name or status.name.endswith('image_classifier'):
                told.update({f'{status.name} {v.key}': v.value for v in status.values})

    watch = ros.node.create_subscription(DiagnosticArray, '/diagnostics', collect, 10)
    for kind, fields in (
        ('encoding', {'encoding': 'jpeg2000'}),
        ('step', {'step': 5}),
        ('size', {'height': 2**31}),
        ('depth instead of colour', {'encoding': '32FC1', 'width': photos['dog'].shape[1] // 2}),
        ('data', {'height': 5 * photos['dog'].shape[0]}),
    ):
        message = picture_message(photos['dog'], 'bgr8', stamp_ns=1)
        for name, value in fields.items():
            setattr(message, name, value)
        before = faults(told)
        viewer.publish_message(message)
        wait_until(lambda before=before: faults(told) == before + 1, f'{kind} not counted')
    ros.node.destroy_subscription(watch)
    assert viewer.ask(photos['parrot']).results[0].class_id == 'macaw'


def faults(told: dict[str, str]) -> int:
    """Return how many pictures were refused, before and in the stage."""
    keys = ('dropped_invalid', 'dropped_error')
    return sum(int(v) for k, v in told.items() if k.endswith(keys) and v.isdigit())


def test_boxes_of_a_detector_are_classified(
    ros: RosClient, parameters: dict[str, Any], yolox: str, photos: dict[str, Any]
) -> None:
    """Each box gets classes of its own, at its place, through the bus."""
    detector = {
        'model': yolox,
        'input_reliability': 'reliable',
        'input_depth': 5,
        'publish': 'always',
    }
    answer = ros.load('gpu_perception::ObjectDetector', parameters=detector)
    assert answer.success, answer.error_message
    answer = ros.load(PLUGIN, parameters={**parameters, 'regions': True, 'max_regions': 4})
    assert answer.success, answer.error_message
    for node in (NODE, '/object_detector'):
        ros.wait_state(node, 'active')
    assert ros.node.count_subscribers('/object_detections') == 0
    boxes: dict[int, Any] = {}
    watch = ros.node.create_subscription(
        Detection2DArray, '/object_detections', lambda m: boxes.update({stamp_of(m): m}), RELIABLE
    )
    viewer = Viewer(ros, 'classified_detections', 'optimized_output')
    for pixels, expected in ((photos['dog'], 3), (np.zeros((90, 120, 3), np.uint8), 0)):
        stamp = viewer.publish(pixels)
        found = viewer.answer('classified_detections', stamp)
        wait_until(lambda stamp=stamp: stamp in boxes, 'no detections')
        assert len(found.detections) == min(4, len(boxes[stamp].detections))
        assert len(found.detections) >= expected
        for one, other in zip(found.detections, boxes[stamp].detections, strict=False):
            assert one.bbox == other.bbox
            assert len(one.results) == 5
        print(
            [
                (kind, n)
                for (kind, _, _), (n, _, _) in zip(
                    boxes_of(boxes[stamp]), boxes_of(found), strict=False
                )
            ]
        )
    assert {
        kind_of(one) for one in viewer.ask(photos['dog'], topic='classified_detections').detections
    } & VEHICLES
    viewer.close()
    ros.node.destroy_subscription(watch)


VEHICLES = {'mountain bike', 'bicycle-built-for-two', 'pickup', 'minivan', 'beach wagon'}


def kind_of(detection: Any) -> str:
    """Return the first name of the best class."""
    return str(detection.results[0].hypothesis.class_id.split(',')[0])
