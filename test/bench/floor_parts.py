# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of the floor table: bare networks, stages and naive nodes, without ROS transport."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
import statistics
import time
from types import SimpleNamespace
from typing import Any

from naive_nodes import WORK
import numpy as np
from sensor_msgs.msg import Image
import torch

from gpu_components.bench.networks import bare_network
from gpu_components.bench.networks import depth_network
from gpu_components.bench.networks import NetworkFiles
from gpu_components.bench.networks import processor_network
from gpu_components.bench.networks import segmenter_network
from gpu_components.bench.picture import picture
from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.image_processor import ImageProcessor
from gpu_components.memory_manager import MemoryManager
from gpu_components.messages import image_message
from gpu_components.object_detector import ObjectDetector
from gpu_components.output import Result
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_runtime.card_memory import read_card
from gpu_runtime.errors import CudaError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

CAPTURE_WARM_UP = 3
PROPOSALS = 1000
"""What torchvision's Faster R-CNN keeps of a picture for its box head."""

Stages = dict[str, Callable[[], Any]]


def warm_up(repeats: int) -> int:
    """Return how many calls go before those that count."""
    return max(1, repeats // 10)


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of some work that ends on the host."""
    taken = []
    for _ in range(warm_up(repeats) + repeats):
        began_s = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(taken[warm_up(repeats) :])


def device_mib(device: torch.device) -> float | None:
    """Return what this process holds on the card; None where nobody tells."""
    if device.type != 'cuda':
        return None
    try:
        held = read_card(device).process
    except CudaError:
        return None
    return None if held is None else held / (1 << 20)


# -- the bare networks ---------------------------------------------------------------------------


class DetectorParts(torch.nn.Module):
    """
    The parts of a detector whose shapes do not depend on the picture.

    Of Faster R-CNN: backbone, heads of the proposals, and the box head on fixed proposals; of
    others: backbone and head. Choosing boxes is left out: it cannot be captured.
    """

    def __init__(self, detector: torch.nn.Module, tensor: torch.Tensor) -> None:
        super().__init__()
        self.detector = detector
        height, width = tensor.shape[-2:]
        corners = torch.rand(PROPOSALS, 2, device=tensor.device) * 0.5
        boxes = torch.cat((corners, corners + 0.3), 1)
        self.boxes = [boxes * torch.tensor([width, height] * 2, device=tensor.device)]
        self.shapes = [(height, width)]

    def forward(self, tensor: torch.Tensor) -> Any:
        """Return what the heads give for a prepared picture."""
        features = self.detector.backbone(tensor)
        if not hasattr(self.detector, 'roi_heads'):
            return self.detector.head(list(features.values()))
        proposed = self.detector.rpn.head(list(features.values()))
        heads = self.detector.roi_heads
        pooled = heads.box_roi_pool(features, self.boxes, self.shapes)
        return proposed, heads.box_predictor(heads.box_head(pooled))


def bare_networks(
    files: NetworkFiles, width: int, height: int, device: torch.device
) -> dict[str, tuple[torch.nn.Module, torch.Tensor]]:
    """Return each stage's network and its prepared input, both on the device."""
    whole = torch.from_numpy(picture(width, height)).permute(2, 0, 1)[None].to(device) / 255.0
    detector = bare_network(files.detector)
    detector.load_state_dict(torch.load(files.detector_weights, weights_only=True))
    detector.to(device)
    prepared = detector.transform([whole[0]])[0].tensors
    both = torch.nn.ModuleList([depth_network(), segmenter_network()])
    return {
        'image_processor': (processor_network(), whole),
        'object_detector': (DetectorParts(detector, prepared), prepared),
        'image_classifier': (
            bare_network(files.classifier),
            torch.rand(1, 3, 224, 224, device=device),
        ),
        'depth_segmentation': (SideBySide(both), whole),
    }


class SideBySide(torch.nn.Module):
    """Several networks on one input."""

    def __init__(self, networks: torch.nn.ModuleList) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Return what each gives."""
        return [network(tensor) for network in self.networks]


def captured(network: torch.nn.Module, tensor: torch.Tensor) -> Callable[[], Any]:
    """Return a replay of a network: a CUDA graph, or an eager call on a CPU."""
    if tensor.device.type == 'cpu':
        return lambda: network(tensor)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(CAPTURE_WARM_UP):
            network(tensor)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        kept = network(tensor)
    return lambda: (graph.replay(), kept)


def bare_ms(
    files: NetworkFiles, size: tuple[int, int], device: torch.device, repeats: int
) -> dict[str, float]:
    """Return the milliseconds of each network alone, and of all one after the other."""
    with torch.inference_mode():
        replays = {
            stage: captured(network.to(device), tensor)
            for stage, (network, tensor) in bare_networks(files, *size, device).items()
        }
        replays['all'] = lambda: [replay() for stage, replay in replays.items() if stage != 'all']
        return {stage: _replay_ms(replay, device, repeats) for stage, replay in replays.items()}


def _replay_ms(replay: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Time on the device, between two events; by the host's clock on a CPU."""
    if device.type == 'cpu':
        return median_ms(replay, repeats)
    taken = []
    for _ in range(warm_up(repeats) + repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        replay()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end))
    return statistics.median(taken[warm_up(repeats) :])


# -- the stages of the container -----------------------------------------------------------------


def components(files: NetworkFiles, width: int, height: int) -> dict[str, list[Any]]:
    """Return each stage's components with the parameters that the benchmark gives them."""
    size = {'input_width': width, 'input_height': height, 'normalization': 'unit'}
    return {
        'image_processor': [
            (ImageProcessor, {'operations': (f'model source={files.processor}',)})
        ],
        'object_detector': [
            (
                ObjectDetector,
                {
                    'model': f'torchvision/{files.detector}',
                    'weights': files.detector_weights,
                    'class_id_format': 'index',
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


class Direct:
    """One component with its stream and memory account, called without its threads."""

    def __init__(self, context: GpuContext, kind: Any, values: dict[str, Any]) -> None:
        self.context = context
        self.component = kind(
            context, SimpleNamespace(info=print, error=print), WANTED.__contains__
        )
        self.component.params = kind.parameters(**values)
        self.component.check(self.component.params)
        name = kind.default_name()
        self.account = context.budget.open(name)
        self.stream = context.streams.lease(name)
        with self.account.use():
            self.component.prepared = self.component.prepare(self.component.params)

    def enqueue(self, frame: Any) -> list[tuple[str, Any, Any]]:
        """Do what the stage's thread does: compute, and enqueue the way back."""
        with self.stream, torch.inference_mode():
            results = self.component.compute(frame, self.stream)
            return [(topic, *self._download(result)) for topic, result in results.items()]

    def _download(self, result: Any) -> tuple[Any, Any]:
        transfers = self.context.transfers
        if isinstance(result, Result):
            return result.build, transfers.download(result.tensors, self.stream)
        download = transfers.download((result.use(self.stream),), self.stream)
        return lambda _, data: image_message(result.header, result.format, data), download

    def close(self) -> None:
        """Give everything back."""
        if hasattr(self.component.prepared, 'close'):
            self.component.prepared.close()
        self.context.streams.release(self.stream)
        self.context.budget.close_account(self.account)


def collect(header: Header, enqueued: list[tuple[str, Any, Any]]) -> dict[str, Any]:
    """Do what the egress threads do: wait, and build the messages."""
    messages = {}
    for topic, build, download in enqueued:
        download.wait()
        messages[topic] = build(header, *download.arrays)
        if isinstance(messages[topic], Image):
            # In the container the message is serialized here, while the slab is still leased.
            messages[topic]._data = messages[topic]._data.tobytes()
        download.release()
    return messages


def our_stages(
    context: GpuContext, stack: ExitStack, files: NetworkFiles, width: int, height: int
) -> Stages:
    """Return a call per stage, from the bytes of a picture to its messages; ``all`` is one."""
    data = picture(width, height).tobytes()
    layout = ImageFormat(width, height, 'rgb8', width * 3)
    header = Header(1, 'camera_optical')
    direct: dict[str, list[Direct]] = {}
    for stage, kinds in components(files, width, height).items():
        for kind, values in kinds:
            one = Direct(context, kind, values)
            stack.callback(one.close)
            direct.setdefault(stage, []).append(one)

    def run(members: list[Direct]) -> dict[str, Any]:
        frame = context.frame(header, layout, data)
        return collect(header, [item for one in members for item in one.enqueue(frame)])

    calls: Stages = {
        stage: lambda members=members: run(members) for stage, members in direct.items()
    }
    everybody = [one for members in direct.values() for one in members]
    return calls | {'all': lambda: run(everybody)}


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


def summary(messages: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return arrays of what a stage or a node answered, by output, colours as RGB."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for topic, message in messages.items():
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
