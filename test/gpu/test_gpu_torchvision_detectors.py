# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors as one graph: equal to torchvision, without waiting or allocating."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
import statistics
import threading
from typing import Any

import cv2
from lively_detectors import assert_same
from lively_detectors import lively
from lively_detectors import Prepared
from lively_detectors import torchvision_finds
import pytest
from test_gpu_detector import Bench
import torch
from torchvision import models
from torchvision.ops import box_iou
from torchvision.ops import boxes as torchvision_boxes

from gpu_components.resources import resolve_path
from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import Detections
from gpu_runtime.detection import PictureLimits
from gpu_runtime.detection import resolve_preset
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models.detectors import TorchvisionDetector

pytestmark = pytest.mark.gpu

DEFAULT = 'fasterrcnn_resnet50_fpn'
SMALLEST = 'fasterrcnn_mobilenet_v3_large_320_fpn'
LIMITS = DetectionLimits(0.05, 0.5, 100)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compare arithmetic, not roundings of TF32 or of boxes that torchvision shifts by class."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    monkeypatch.setattr(
        torchvision_boxes,
        '_batched_nms_coordinate_trick',
        torchvision_boxes._batched_nms_vanilla,
    )
    yield


def photograph(name: str = 'rocket.jpg') -> Any:
    """Return a photograph as BGR."""
    return cv2.imread(resolve_path(f'package://skimage/data/{name}'))


class Pair:
    """A detector as a graph, and torchvision's own code on the same weights and tensor."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.own = lively(name)
        picture = torch.from_numpy(photograph()[:, :, ::-1].copy()).permute(2, 0, 1) / 255
        images, _ = self.own.transform([picture])
        self.height, self.width = images.image_sizes[0]
        self.tensor = images.tensors[:, :, : self.height, : self.width].clone().to(device)
        self.module = TorchvisionDetector(self.own).to(device)
        self.own.transform = Prepared(self.own.transform.size_divisible)
        self.own.to(device)
        self.preset = resolve_preset('auto', ModelSource.parse(f'torchvision/{name}'))
        identity = AffineMap(1, 1, 0, 0, (self.width, self.height))
        self.limits = PictureLimits.of(LIMITS, identity, device)
        self.graph = CudaGraphModel(Forward(self.module), device, threading.Lock())
        self.graph.prepare((torch.zeros_like(self.tensor),))

    def decode(self, outputs: tuple[torch.Tensor, ...]) -> Detections:
        """Suppress, in pixels of the tensor."""
        return self.preset.decode(outputs, self.limits)


def on_host(found: Detections) -> Detections:
    """Copy a result."""
    return Detections(*(part.cpu() for part in vars(found).values()))


def median_ms(run: Callable[[], object]) -> float:
    """Return the median time of a call, by events of the device."""
    times = []
    for _ in range(20):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


@pytest.mark.parametrize('name', models.list_models(module=models.detection))
def test_graph_equals_eager_and_torchvision(gpu: torch.device, name: str) -> None:
    pair = Pair(name, gpu)
    assert pair.graph.captured == 1
    eager = EagerModel(Forward(pair.module))
    # Two pictures through one graph: with constants of the first in it, the second would differ.
    for tensor in (pair.tensor, pair.tensor.flip(3)):
        found = on_host(pair.decode(pair.graph(tensor)))
        again = on_host(pair.decode(eager(tensor)))
        want = torchvision_finds(pair.own, tensor[0], LIMITS)
        want = {key: value.cpu() for key, value in want.items()}
        count = assert_same(found, want, px=0.05, score=1e-3)
        assert count > 10, 'too few boxes to show anything'
        kept = {'boxes': again.boxes, 'scores': again.scores, 'labels': again.class_ids}
        kept = {key: value[: int(again.count)] for key, value in kept.items()}
        assert_same(found, kept, px=0.05, score=1e-3)


def test_replay_neither_waits_nor_allocates(gpu: torch.device) -> None:
    pair = Pair(SMALLEST, gpu)
    stream = torch.cuda.Stream(gpu)
    with torch.cuda.stream(stream):
        for _ in range(3):
            pair.decode(pair.graph(pair.tensor)).packed()
        torch.cuda.synchronize(gpu)
        before = torch.cuda.memory_stats(gpu)
        torch.cuda.set_sync_debug_mode('error')
        try:
            torch.cuda._sleep(1_000_000_000)  # a latch: half a second of device time
            for _ in range(10):
                pair.decode(pair.graph(pair.tensor)).packed()
            still_busy = not stream.query()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    torch.cuda.synchronize(gpu)
    after = torch.cuda.memory_stats(gpu)
    assert still_busy, 'the device was done before the host: somebody waited'
    assert after['num_device_alloc'] == before['num_device_alloc']
    assert after['reserved_bytes.all.current'] == before['reserved_bytes.all.current']


def test_a_replay_takes_less_time_than_torchvisions_own_code(gpu: torch.device) -> None:
    pair = Pair(DEFAULT, gpu)
    with torch.inference_mode():
        pair.own([pair.tensor[0]])
        own = median_ms(lambda: pair.own([pair.tensor[0]]))
    replay = median_ms(lambda: pair.decode(pair.graph(pair.tensor)))
    print(f'{DEFAULT}, {pair.width}x{pair.height}: own {own:.2f} ms, replay {replay:.2f} ms')
    assert replay < own


def weights_file(folder: Path) -> str:
    """Write random weights that find something."""
    file = folder / 'lively.pth'
    torch.save(lively(SMALLEST).state_dict(), file)
    return str(file)


def test_float16_is_captured_and_finds_the_same_objects(gpu: torch.device, tmp_path: Path) -> None:
    source, weights = ModelSource.parse(f'torchvision/{SMALLEST}'), weights_file(tmp_path)
    preset, results = resolve_preset('auto', source), []
    for precision in ('fp32', 'fp16'):
        model = load_model(
            source,
            device=gpu,
            weights=weights,
            precision=precision,
            capture_lock=threading.Lock(),
            fixed_shape=preset.fixed_shape,
        )
        assert isinstance(model, CudaGraphModel)
        inputs = preset.example_inputs(gpu, precision)
        model.prepare(inputs)
        assert model.captured == 1
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn((1, 3, 20, 27), generator=generator)
        picture = torch.nn.functional.interpolate(noise, inputs[0].shape[2:], mode='bicubic')
        outputs = model(picture.to(inputs[0]))
        assert [output.dtype for output in outputs] == [torch.float32, torch.float32, torch.int64]
        place = AffineMap.fit(preset.spec(precision), 640, 480)
        limits = PictureLimits.of(LIMITS, place, gpu)
        results.append(on_host(preset.decode(outputs, limits)))
        model.close()
    full, half = results
    assert int(full.count) > 10
    same = full.class_ids[:, None] == half.class_ids
    again = (box_iou(full.boxes, half.boxes) * same).amax(dim=1)[: int(full.count)][:30] > 0.8
    assert again.float().mean() > 0.6


@pytest.mark.parametrize('size', [{}, {'input_width': 426, 'input_height': 320}])
def test_component_runs_it_as_a_graph(
    gpu: torch.device, tmp_path: Path, size: dict[str, int]
) -> None:
    """From bytes to boxes on the host: one graph per size of picture, or one for all."""
    bench = Bench(
        gpu,
        f'torchvision/{SMALLEST}',
        weights=weights_file(tmp_path),
        confidence_threshold=0.05,
        **size,
    )
    model = bench.detector.prepared.model
    assert isinstance(model, CudaGraphModel)
    pictures = [photograph(), photograph('coffee.png'), photograph('astronaut.png')]
    for picture in pictures:
        boxes, scores, _ = bench.boxes(picture)
        height, width = picture.shape[:2]
        assert len(scores) > 10
        assert (boxes >= 0).all()
        assert (boxes <= [width, height, width, height]).all()
    # 640 x 427, 600 x 400 and 512 x 512; the black picture of 640 x 480 that warmed up is gone.
    assert model.captured == (1 if size else 3)
    for _ in range(2):  # the first time brings the allocator's cache to what this needs
        before = torch.cuda.memory_stats(gpu)['num_device_alloc']
        for picture in pictures * 3:
            torch.cuda.set_sync_debug_mode('error')
            try:
                download = bench.submit(picture)
            finally:
                torch.cuda.set_sync_debug_mode('default')
            download.wait()
            download.release()
    assert torch.cuda.memory_stats(gpu)['num_device_alloc'] == before
    assert bench.close() == []
