# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of the floor table with messages: stages and naive nodes, without ROS transport."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
import ctypes
import queue
import threading
from typing import Any

from direct_stage import DirectStage
from floor_timing import OVERLAPPED
from naive_nodes import WORK
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
import torch
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

from gpu_components.bench.networks import NetworkFiles
from gpu_components.bench.picture import picture
from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.image_processor import ImageProcessor
from gpu_components.memory_manager import MemoryManager
from gpu_components.object_detector import ObjectDetector
from gpu_components.raw_sender import RawSender
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_components.serialized import Serialized
from gpu_runtime.card_memory import read_card
from gpu_runtime.errors import CudaError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

Stages = dict[str, Callable[[], Any]]

IN_FLIGHT = 3
BURST = 30
"""Frames of which the period is taken where they overlap."""


def device_mib(device: torch.device) -> float | None:
    """Return what this process holds on the card; None where nobody tells."""
    if device.type != 'cuda':
        return None
    try:
        held = read_card(device).process
    except CudaError:
        return None
    return None if held is None else held / (1 << 20)


# -- the stages of the container -----------------------------------------------------------------


def components(
    files: NetworkFiles, width: int, height: int, precision: str
) -> dict[str, list[Any]]:
    """Return each stage's components with the parameters that the benchmark gives them."""
    size = {
        'input_width': width,
        'input_height': height,
        'normalization': 'unit',
        'precision': precision,
    }
    network = f'model source={files.processor} precision={precision}'
    return {
        'image_processor': [(ImageProcessor, {'operations': (network,)})],
        'object_detector': [
            (
                ObjectDetector,
                {
                    'model': f'torchvision/{files.detector}',
                    'weights': files.detector_weights,
                    'class_id_format': 'index',
                    'precision': precision,
                },
            )
        ],
        'image_classifier': [
            (
                ImageClassifier,
                {
                    'model': f'torchvision/{files.classifier}',
                    'weights': files.classifier_weights,
                    'class_id_format': 'index',
                    'precision': precision,
                },
            )
        ],
        'memory_manager': [(MemoryManager, {})],
        'depth_segmentation': [
            (DepthEstimator, {'model': files.depth, **size}),
            (SemanticSegmenter, {'model': files.segmenter, 'labels': 'voc21', **size}),
        ],
    }


WANTED = {
    'processed_image',
    'object_detections',
    'optimized_output',
    'memory_managed_output',
    'gpu_depth_map',
    'gpu_semantic_map',
}
"""What somebody subscribes to in the benchmark."""


_SENDER = RawSender()


def collect(
    header: Header, enqueued: list[tuple[str, Any, Any]], *, keep: bool = False
) -> dict[str, Any]:
    """Do what the egress threads do: wait, build the messages, put them together."""
    messages = {}
    for topic, build, download in enqueued:
        download.wait()
        messages[topic] = build(header, *download.arrays)
        if isinstance(messages[topic], Serialized):
            sent = _SENDER.joined(messages[topic], download)
            messages[topic] = ctypes.string_at(*sent) if keep else None
        download.release()
    return messages


def our_stages(
    context: GpuContext,
    stack: ExitStack,
    files: NetworkFiles,
    width: int,
    height: int,
    precision: str,
) -> Stages:
    """Return a call per stage, from the bytes of a picture to its messages; ``all`` is one."""
    data = picture(width, height).tobytes()
    layout = ImageFormat(width, height, 'rgb8', width * 3)
    header = Header(1, 'camera_optical')
    direct: dict[str, list[DirectStage]] = {}
    for stage, kinds in components(files, width, height, precision).items():
        for kind, values in kinds:
            one = DirectStage(context, kind, WANTED, values)
            stack.callback(one.close)
            direct.setdefault(stage, []).append(one)

    def run(members: list[DirectStage], keep: bool) -> dict[str, Any]:
        frame = context.frame(header, layout, data)
        enqueued = [item for one in members for item in one.enqueue(frame, keep=keep)]
        messages = collect(header, enqueued, keep=keep)
        for one in members:
            one.done(frame)
        return messages

    calls: Stages = {
        stage: lambda keep=False, members=members: run(members, keep)
        for stage, members in direct.items()
    }
    everybody = [one for members in direct.values() for one in members]

    def overlapped() -> None:
        """Enqueue frames while another thread waits for those before and builds messages."""
        under_way: queue.Queue[Any] = queue.Queue(IN_FLIGHT)

        def finish() -> None:
            while (enqueued := under_way.get()) is not None:
                collect(header, enqueued)

        collector = threading.Thread(target=finish)
        collector.start()
        for _ in range(BURST):
            frame = context.frame(header, layout, data)
            under_way.put([item for one in everybody for item in one.enqueue(frame)])
        under_way.put(None)
        collector.join()

    return calls | {'all': lambda keep=False: run(everybody, keep), OVERLAPPED: overlapped}


# -- the naive nodes -----------------------------------------------------------------------------


def naive_stages(files: NetworkFiles, width: int, height: int, device: torch.device) -> Stages:
    """Return a call per naive node, from the message that it receives to those it publishes."""
    message = Image(height=height, width=width, encoding='rgb8', step=width * 3)
    message._data = picture(width, height).reshape(-1)
    networks = vars(files)
    works = {stage: kind(networks, device) for stage, (kind, _) in WORK.items()}

    def run(stages: Iterator[str] | list[str]) -> dict[str, Any]:
        return {topic: m for stage in stages for topic, m in works[stage].process(message)}

    def classified() -> dict[str, Any]:
        return {**run(['image_classifier']), 'scores': works['image_classifier'].last}

    calls: Stages = {stage: lambda stage=stage: run([stage]) for stage in works}
    return calls | {'image_classifier': classified, 'all': lambda: run(list(works))}


# -- what the outputs are compared by ------------------------------------------------------------


TYPES = {'object_detections': Detection2DArray, 'classification': Classification}
"""Of the outputs that are no pictures."""


def summary(messages: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return arrays of what a stage or a node answered, by output, colours as RGB."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for topic, message in messages.items():
        if isinstance(message, bytes):
            message = deserialize_message(message, TYPES.get(topic, Image))
        if topic == 'scores':
            arrays['class_scores'] = np.asarray(message)
        elif topic == 'object_detections':
            arrays['boxes'] = np.array([_box(d) for d in message.detections]).reshape(-1, 5)
        elif topic == 'classification':
            best = message.results[0]
            arrays['best_class'] = np.array([float(best.class_id), best.score])
        else:
            arrays[topic] = _pixels(message)
    return arrays


def _pixels(message: Any) -> np.ndarray[Any, Any]:
    kind, channels = (np.float32, 1) if message.encoding == '32FC1' else (np.uint8, 3)
    channels = 1 if message.encoding == 'mono8' else channels
    data = np.frombuffer(bytes(message._data), kind)
    array = data.reshape(message.height, message.width, channels)
    return array[:, :, ::-1] if message.encoding == 'bgr8' else array


def _box(detection: Any) -> tuple[float, ...]:
    centre, box = detection.bbox.center.position, detection.bbox
    half_x, half_y = box.size_x / 2, box.size_y / 2
    score = detection.results[0].hypothesis.score
    return (centre.x - half_x, centre.y - half_y, centre.x + half_x, centre.y + half_y, score)
