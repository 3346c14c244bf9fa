# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The rivals of the benchmark: five perception nodes as an average engineer writes them.

Each receives pictures for itself, converts and copies them, uploads them from pageable memory,
runs its networks eagerly in fp32 and waits for the result in its callback; reliable QoS, depth
10, ``rclpy.spin``. The networks and their weights are those that the container is given. Nothing
here is slowed down on purpose, and nothing is tuned but what the scenario says (OMP_NUM_THREADS).

::

    python test/bench/naive_nodes.py '{"stages": ["image_processor"], "namespace": "/camera", ...}'

Each node's work is a class of its own, without ROS transport, so that the floor table can call it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import contextlib
import json
import signal
import sys
from typing import Any

import cv2
import numpy as np
from PIL import Image as PilImage
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
import torch
from torchvision.transforms import functional
from vision_msgs.msg import Detection2D
from vision_msgs.msg import Detection2DArray
from vision_msgs.msg import ObjectHypothesisWithPose

from gpu_components.bench.networks import bare_network
from gpu_components.bench.networks import depth_network
from gpu_components.bench.networks import processor_network
from gpu_components.bench.networks import segmenter_network

THREADS = 8
THRESHOLD = 0.5
EMPTY_EVERY = 10
CLASSIFIER_PX = 224
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet, as torchvision's classifiers expect them."""

Answer = tuple[str, Any]


def to_array(message: Image) -> np.ndarray[Any, Any]:
    """Return the picture of a message, without copying it."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def to_message(array: np.ndarray[Any, Any], encoding: str, source: Image) -> Image:
    """Return a picture as a message with the header of its source."""
    array = np.ascontiguousarray(array)
    message = Image(header=source.header, height=array.shape[0], width=array.shape[1])
    message.encoding = encoding
    message.step = array.strides[0]
    # The one trick that everybody finds: assigning an array to data takes seconds.
    message._data = np.frombuffer(array.tobytes(), np.uint8)
    return message


class ImageProcessor:
    """Three convolutions from a picture to a picture."""

    def __init__(self, networks: dict[str, str], device: torch.device) -> None:
        self.device = device
        network = processor_network()
        # The node works in BGR, as OpenCV users do; the weights are for RGB.
        with torch.no_grad():
            network[0].weight.copy_(network[0].weight.flip(1))
            network[4].weight.copy_(network[4].weight.flip(0))
            network[4].bias.copy_(network[4].bias.flip(0))
        self.network = network.to(device)

    @torch.no_grad()
    def process(self, message: Image) -> list[Answer]:
        """Return the processed picture."""
        picture = cv2.cvtColor(to_array(message), cv2.COLOR_RGB2BGR)
        tensor = functional.to_tensor(picture).unsqueeze(0).to(self.device)
        result = self.network(tensor)
        array = result.squeeze(0).permute(1, 2, 0).cpu().numpy()
        array = (array * 255.0).round().clip(0, 255).astype(np.uint8)
        return [('processed_image', to_message(array, 'bgr8', message))]


class ObjectDetector:
    """A detector of torchvision."""

    def __init__(self, networks: dict[str, str], device: torch.device) -> None:
        self.device = device
        network = bare_network(networks['detector'])
        network.load_state_dict(torch.load(networks['detector_weights'], weights_only=True))
        self.network = network.to(device)

    @torch.no_grad()
    def process(self, message: Image) -> list[Answer]:
        """Return the boxes."""
        picture = PilImage.fromarray(to_array(message).copy())
        tensor = functional.to_tensor(picture).to(self.device)
        found = self.network([tensor])[0]
        boxes = found['boxes'].cpu().numpy()
        scores = found['scores'].cpu().numpy()
        labels = found['labels'].cpu().numpy()
        answer = Detection2DArray(header=message.header)
        for box, score, label in zip(boxes, scores, labels, strict=True):
            if score >= THRESHOLD:
                answer.detections.append(self._detection(message, box, score, label))
        return [('object_detections', answer)]

    @staticmethod
    def _detection(message: Image, box: Any, score: Any, label: Any) -> Detection2D:
        detection = Detection2D(header=message.header)
        detection.bbox.center.position.x = float(box[0] + box[2]) / 2
        detection.bbox.center.position.y = float(box[1] + box[3]) / 2
        detection.bbox.size_x = float(box[2] - box[0])
        detection.bbox.size_y = float(box[3] - box[1])
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id = str(label)
        result.hypothesis.score = float(score)
        detection.results.append(result)
        return detection


class ImageClassifier:
    """A classifier of torchvision that publishes the picture it classified."""

    def __init__(self, networks: dict[str, str], device: torch.device) -> None:
        self.device = device
        network = bare_network(networks['classifier'])
        network.load_state_dict(torch.load(networks['classifier_weights'], weights_only=True))
        self.network = network.to(device)
        self.last = np.zeros(0, np.float32)

    @torch.no_grad()
    def process(self, message: Image) -> list[Answer]:
        """Return the picture; :attr:`last` holds the class scores."""
        picture = to_array(message)
        small = cv2.resize(picture, (CLASSIFIER_PX, CLASSIFIER_PX))
        tensor = functional.normalize(functional.to_tensor(small), MEAN, DEVIATION)
        scores = self.network(tensor.unsqueeze(0).to(self.device))
        self.last = scores.softmax(1).cpu().numpy()[0]
        return [('optimized_output', to_message(picture, 'rgb8', message))]


class MemoryManager:
    """Touches every picture on the device and empties the cache now and then."""

    def __init__(self, networks: dict[str, str], device: torch.device) -> None:
        self.device = device
        self.frames = 0

    @torch.no_grad()
    def process(self, message: Image) -> list[Answer]:
        """Return the picture as it came back."""
        picture = to_array(message).copy()
        tensor = torch.from_numpy(picture).to(self.device)
        result = tensor.clone().cpu().numpy()
        self.frames += 1
        if self.frames % EMPTY_EVERY == 0 and self.device.type == 'cuda':
            torch.cuda.empty_cache()
        return [('memory_managed_output', to_message(result, 'rgb8', message))]


class DepthSegmentation:
    """Two small networks on one picture."""

    def __init__(self, networks: dict[str, str], device: torch.device) -> None:
        self.device = device
        self.depth = depth_network().to(device)
        self.segmenter = segmenter_network().to(device)

    @torch.no_grad()
    def process(self, message: Image) -> list[Answer]:
        """Return depth in metres and classes."""
        tensor = functional.to_tensor(to_array(message).copy()).unsqueeze(0).to(self.device)
        depth = self.depth(tensor).squeeze().cpu().numpy()
        classes = self.segmenter(tensor).argmax(1).squeeze(0).to(torch.uint8).cpu().numpy()
        return [
            ('gpu_depth_map', to_message(depth, '32FC1', message)),
            ('gpu_semantic_map', to_message(classes, 'mono8', message)),
        ]


WORK = {
    'image_processor': (ImageProcessor, {'processed_image': Image}),
    'object_detector': (ObjectDetector, {'object_detections': Detection2DArray}),
    'image_classifier': (ImageClassifier, {'optimized_output': Image}),
    'memory_manager': (MemoryManager, {'memory_managed_output': Image}),
    'depth_segmentation': (
        DepthSegmentation,
        {'gpu_depth_map': Image, 'gpu_semantic_map': Image},
    ),
}
"""The five nodes: their work and what they publish."""


class NaiveNode(Node):
    """A node around one of the works."""

    def __init__(self, stage: str, namespace: str, networks: dict[str, str], device: str) -> None:
        super().__init__(stage, namespace=namespace)
        kind, outputs = WORK[stage]
        self.work = kind(networks, torch.device(device))
        self.outputs = {
            topic: self.create_publisher(message_type, topic, 10)
            for topic, message_type in outputs.items()
        }
        self.create_subscription(Image, 'image_raw', self.on_image, 10)

    def on_image(self, message: Image) -> None:
        """Work and publish."""
        for topic, answer in self.work.process(message):
            self.outputs[topic].publish(answer)


def main(argv: Sequence[str] | None = None) -> int:
    """Run nodes until SIGINT; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'specification',
        type=json.loads,
        help='JSON: stages, namespace, networks, device, executor (single or multi)',
    )
    options = parser.parse_args(argv).specification
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(args=[])
    names = ('namespace', 'networks', 'device')
    nodes = [NaiveNode(stage, *(options[name] for name in names)) for stage in options['stages']]
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        if options['executor'] == 'multi':
            executor = MultiThreadedExecutor(THREADS)
            for node in nodes:
                executor.add_node(node)
            executor.spin()
        else:
            rclpy.spin(nodes[0])
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
