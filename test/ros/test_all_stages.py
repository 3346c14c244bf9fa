# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""All stages on one camera at once, and stages that read each other over the bus."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import time
from typing import Any

from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import cv2
from diagnostic_msgs.msg import DiagnosticArray
import pytest
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.shared

TOPIC = '/camera/image_raw'
COMMON = {'input_reliability': 'reliable', 'input_depth': 20, 'publish': 'auto'}
PICTURES = 10


def stages(models: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each stage's plugin and parameters by node name."""
    return {
        'processor': ('ImageProcessor', {'operations': ['flip axis=horizontal']}),
        'detector': (
            'ObjectDetector',
            {'model': str(models / 'detection/yolox_nano_coco_416.onnx')},
        ),
        'classifier': (
            'ImageClassifier',
            {
                'model': str(models / 'classification/efficientnet_lite0_imagenet.onnx'),
                'normalization': 'imagenet',
            },
        ),
        'segmenter': (
            'SemanticSegmenter',
            {
                'model': str(models / 'segmentation/deeplabv3_mnv2_voc21_513.onnx'),
                'normalization': 'symmetric',
                'labels': 'voc21',
            },
        ),
        'depth': (
            'DepthEstimator',
            {
                'model': str(models / 'depth/fastdepth_pruned_nyu_224.onnx'),
                'normalization': 'unit',
            },
        ),
    }


OUTPUTS = {
    '/processed_image': Image,
    '/object_detections': Detection2DArray,
    '/classification': Classification,
    '/gpu_semantic_map': Image,
    '/gpu_depth_map': Image,
}


def load(ros: RosClient, node: str, plugin: str, parameters: Any, *remaps: str) -> None:
    """Load a stage and wait until it is active."""
    answer = ros.load(
        f'gpu_perception::{plugin}',
        node_name=node,
        parameters={**COMMON, **parameters},
        remap_rules=list(remaps),
    )
    assert answer.success, answer.error_message
    ros.wait_state(f'/{node}', 'active')


def collect(ros: RosClient, topics: dict[str, Any]) -> dict[str, list[int]]:
    """Subscribe and return the stamps that arrive, by topic."""
    stamps: dict[str, list[int]] = {topic: [] for topic in topics}

    def keep(topic: str) -> Callable[[Any], None]:
        return lambda message: stamps[topic].append(stamp_of(message))

    for topic, kind in topics.items():
        ros.node.create_subscription(kind, topic, keep(topic), 50)
    return stamps


def watch(ros: RosClient) -> dict[str, dict[str, str]]:
    """Return the diagnostics by stage, kept up to date."""
    values: dict[str, dict[str, str]] = {}

    def keep(message: DiagnosticArray) -> None:
        for status in message.status:
            values[status.name.partition(': ')[2]] = {v.key: v.value for v in status.values}

    ros.node.create_subscription(DiagnosticArray, '/diagnostics', keep, 10)
    return values


def test_five_stages_on_one_camera(ros: RosClient, shared_dir: Path) -> None:
    """One subscription, one upload a picture, and every output has its input's stamp."""
    for node, (plugin, parameters) in stages(shared_dir / 'models').items():
        remaps = [f'{name}:={TOPIC}' for name in ('input_image', 'image_raw')]
        load(ros, node, plugin, parameters, *remaps)
    assert ros.node.count_subscribers(TOPIC) == 1
    stamps = collect(ros, OUTPUTS)
    values = watch(ros)
    camera = ros.node.create_publisher(Image, TOPIC, 20)
    wait_until(lambda: camera.get_subscription_count() == 1, 'nobody takes pictures')
    time.sleep(1.0)
    picture = cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))
    sent = [time.time_ns() + i * 1_000_000 for i in range(PICTURES)]
    for stamp in sent:
        camera.publish(picture_message(picture, 'bgr8', stamp_ns=stamp))
        wait_until(lambda: all(stamp in got for got in stamps.values()), f'{stamps} lack {stamp}')  # noqa: B023
    assert stamps == dict.fromkeys(OUTPUTS, sent)
    ingress = f'ingress {TOPIC}'
    wait_until(
        lambda: values.get(ingress, {}).get('processed') == str(PICTURES), f'not counted: {values}'
    )
    for subscription in list(ros.node.subscriptions):
        ros.node.destroy_subscription(subscription)
    print(f'{PICTURES} pictures, 5 stages: {values[ingress]["processed"]} uploads')


def test_processed_pictures_feed_a_detector_and_its_boxes_a_classifier(
    ros: RosClient, shared_dir: Path
) -> None:
    """Wired by remapping alone; nothing of it passes through ROS."""
    chain = stages(shared_dir / 'models')
    load(ros, 'processor', *chain['processor'], f'input_image:={TOPIC}')
    load(ros, 'detector', *chain['detector'], 'input_image:=processed_image')
    plugin, parameters = chain['classifier']
    load(ros, 'classifier', plugin, {**parameters, 'regions': True})
    wait_until(
        lambda: ros.node.count_subscribers('/processed_image') == 0, 'it is subscribed in ROS'
    )
    found: list[Detection2DArray] = []
    ros.node.create_subscription(Detection2DArray, '/classified_detections', found.append, 10)
    camera = ros.node.create_publisher(Image, TOPIC, 5)
    wait_until(lambda: camera.get_subscription_count() == 1, 'nobody takes pictures')
    time.sleep(1.0)
    picture = cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))
    stamp = time.time_ns()
    camera.publish(picture_message(picture, 'bgr8', stamp_ns=stamp))
    wait_until(lambda: bool(found), 'no classified detections')
    assert stamp_of(found[0]) == stamp
    assert len(found[0].detections) >= 3
    # The picture was mirrored on its way: the dog, left in the photograph, is on the right.
    centres = [d.bbox.center.position.x for d in found[0].detections]
    assert max(centres) > picture.shape[1] / 2
    names = {r.hypothesis.class_id for d in found[0].detections for r in d.results}
    print(f'classes of the boxes: {sorted(names)}')
    assert 'minivan' in names
    assert os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
