# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The floor of each stage: its network alone as a CUDA graph, and with the copies it needs."""

from __future__ import annotations

from collections.abc import Callable
import statistics
from typing import Any

from floor_timing import median_ms
from floor_timing import warm_up
import torch
from torchvision.ops import roi_align

from gpu_components.bench.networks import bare_network
from gpu_components.bench.networks import depth_network
from gpu_components.bench.networks import NetworkFiles
from gpu_components.bench.networks import processor_network
from gpu_components.bench.networks import segmenter_network
from gpu_components.bench.picture import picture
from gpu_runtime.models.detectors.fold_norms import fold_norms
from gpu_runtime.models.precision import bring_to
from gpu_runtime.models.precision import dtype_of
from gpu_runtime.models.precision import keep_fp32_exact
from gpu_runtime.models.source_kind import SourceKind

CAPTURE_WARM_UP = 3
PROPOSALS = 1000
"""What torchvision's Faster R-CNN keeps of a picture for its box head."""

BOXES_NBYTES = 100 * 6 * 4
"""Of 100 boxes with score and class."""


class DetectorParts(torch.nn.Module):
    """
    The parts of a detector whose shapes do not depend on the picture, norms folded as ours are.

    Of Faster R-CNN: backbone, heads of the proposals, and the box head on fixed proposals; of
    others: backbone and head. Choosing boxes is left out: it cannot be captured.
    """

    def __init__(self, detector: torch.nn.Module, tensor: torch.Tensor) -> None:
        super().__init__()
        fold_norms(detector)
        self.detector = detector
        if hasattr(detector, 'roi_heads'):
            self._choose_regions(tensor)

    def _choose_regions(self, tensor: torch.Tensor) -> None:
        """Sort fixed proposals by level beforehand: torchvision's sorting waits for the host."""
        pool = self.detector.roi_heads.box_roi_pool
        height, width = tensor.shape[-2:]
        corners = torch.rand(PROPOSALS, 2, device=tensor.device) * 0.5
        boxes = torch.cat((corners, corners + torch.rand_like(corners) * 0.4 + 0.02), 1)
        boxes = boxes * torch.tensor([width, height] * 2, device=tensor.device)
        with torch.inference_mode():
            maps = self.detector.backbone(tensor)
            pool(maps, [boxes], [(height, width)])
        levels = pool.map_levels([boxes])
        indices = torch.zeros_like(boxes[:, :1])
        regions = torch.cat((indices, boxes), 1)
        self.regions = [regions[levels == level] for level in range(len(pool.scales))]
        self.pool = pool

    def forward(self, tensor: torch.Tensor) -> Any:
        """Return what the heads give for a prepared picture."""
        features = self.detector.backbone(tensor)
        maps = list(features.values())
        if not hasattr(self.detector, 'roi_heads'):
            return self.detector.head(maps)
        proposed = self.detector.rpn.head(maps)
        heads, size = self.detector.roi_heads, self.pool.output_size
        pooled = torch.cat(
            [
                roi_align(maps[n], regions.to(tensor), size, scale, self.pool.sampling_ratio)
                for n, (regions, scale) in enumerate(
                    zip(self.regions, self.pool.scales, strict=True)
                )
            ]
        )
        return proposed, heads.box_predictor(heads.box_head(pooled))


def bare_networks(
    files: NetworkFiles, width: int, height: int, device: torch.device, precision: str
) -> dict[str, tuple[torch.nn.Module, torch.Tensor]]:
    """Return each stage's network and its prepared input, both on the device."""
    whole = torch.from_numpy(picture(width, height)).permute(2, 0, 1)[None].to(device) / 255.0
    detector = bare_network(files.detector)
    detector.load_state_dict(torch.load(files.detector_weights, weights_only=True))
    detector.to(device)
    prepared = detector.transform([whole[0]])[0].tensors
    both = torch.nn.ModuleList([depth_network(), segmenter_network()])
    networks = {
        'image_processor': (processor_network(), whole),
        'object_detector': (DetectorParts(detector, prepared), prepared),
        'image_classifier': (
            bare_network(files.classifier),
            torch.rand(1, 3, 224, 224, device=device),
        ),
        'depth_segmentation': (SideBySide(both), whole),
    }
    return {
        stage: (
            bring_to(network.to(device), precision, SourceKind.TORCHVISION),
            tensor.to(dtype_of(precision)),
        )
        for stage, (network, tensor) in networks.items()
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
    files: NetworkFiles, size: tuple[int, int], device: torch.device, repeats: int, precision: str
) -> dict[str, dict[str, float]]:
    """
    Return the milliseconds of each network alone and of all, one after the other.

    ``network`` is the time on the device; ``floor`` is the host's time for the same with the
    copies around it: bytes to pinned memory, to the device, results back, out of pinned memory.
    """
    keep_fp32_exact()
    width, height = size
    whole = width * height * 3
    results = {
        'image_processor': whole,
        'object_detector': BOXES_NBYTES,
        'image_classifier': whole,
        'memory_manager': whole,
        'depth_segmentation': width * height * 5,  # float32 metres, and a class per pixel
    }
    with torch.inference_mode():
        replays = {
            stage: captured(network, tensor)
            for stage, (network, tensor) in bare_networks(files, *size, device, precision).items()
        }
        everything = list(replays.values())
        replays['all'] = lambda: [replay() for replay in everything]
        results['all'] = sum(results.values())
        return {
            'network': {s: _replay_ms(replay, device, repeats) for s, replay in replays.items()},
            'floor': {
                s: median_ms(with_copies(replays.get(s), whole, nbytes, device), repeats)
                for s, nbytes in results.items()
            },
        }


def with_copies(
    replay: Callable[[], Any] | None, nbytes_in: int, nbytes_out: int, device: torch.device
) -> Callable[[], Any]:
    """Return a replay from bytes on the host to bytes on the host, which it waits for."""
    pinned = device.type == 'cuda'
    data, into = (torch.zeros(nbytes_in, dtype=torch.uint8) for _ in range(2))
    result = torch.zeros(nbytes_out, dtype=torch.uint8)
    if pinned:
        into, result = into.pin_memory(), result.pin_memory()
    there, answer = into.to(device), result.to(device)

    def work() -> Any:
        into.copy_(data)
        there.copy_(into, non_blocking=True)
        if replay is not None:
            replay()
        result.copy_(answer, non_blocking=True)
        if pinned:
            torch.cuda.current_stream(device).synchronize()
        return result.numpy().tobytes()

    return work


def _replay_ms(replay: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Time on the device, between two events; by the host's clock on a CPU."""
    if device.type == 'cpu':
        return median_ms(replay, repeats)
    warm_up(replay, repeats)
    taken = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        replay()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end))
    return statistics.median(taken)
