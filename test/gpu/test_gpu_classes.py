# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Classifier and segmenter on a device: the CPU's results, and no waiting for the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import threading

import numpy as np
import pytest
import torch

from gpu_runtime.classification import Classifier
from gpu_runtime.classification import network_input
from gpu_runtime.classification import pack_regions
from gpu_runtime.classification import region_crops
from gpu_runtime.detection import Detections
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.segmentation import colored
from gpu_runtime.segmentation import pascal_palette
from gpu_runtime.segmentation import Segmenter
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms import PreparedTensor

pytestmark = pytest.mark.gpu

CPU = torch.device('cpu')


@contextmanager
def no_waiting() -> Iterator[None]:
    """Let torch raise where the host would wait for the device."""
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def noise(width: int, height: int) -> tuple[torch.Tensor, ImageFormat]:
    """Return a smooth random picture and its format."""
    coarse = np.random.default_rng(5).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    picture = np.ascontiguousarray(np.kron(coarse, np.ones((20, 20, 1), np.uint8)))
    return torch.from_numpy(picture.reshape(-1)), ImageFormat(width, height, 'bgr8', width * 3)


def prepared(device: torch.device, spec: TensorSpec) -> PreparedTensor:
    """Prepare the picture on a device."""
    data, layout = noise(640, 480)
    return make_image_transform(device)(data.to(device), layout, spec)


def test_regions_agree_with_the_cpu_and_nobody_waits(gpu: torch.device) -> None:
    """The same crops, and classes in one table, without a synchronisation."""
    source = ModelSource.parse('torchvision/resnet18')
    spec = network_input(source, 'classification')
    model = load_model(source, device=gpu, weights='none', capture_lock=threading.Lock())
    classifier = Classifier.warmed(model, spec, device=gpu, batch=4)
    boxes = torch.tensor([[10.0, 20.0, 400.0, 470.0], [300.5, 7.25, 333.0, 60.0], [0, 0, 0, 0]])
    crops = {}
    for device in (CPU, gpu):
        whole = prepared(device, classifier.picture_spec).tensor
        crops[device] = region_crops(whole, boxes.to(device), spec, count=4)
    assert torch.allclose(crops[CPU], crops[gpu].cpu(), atol=2e-2)
    count = torch.tensor(2, device=gpu)
    found = Detections(boxes.to(gpu), boxes[:, 0].to(gpu), boxes[:, 0].long().to(gpu), count)
    with torch.inference_mode(), no_waiting():
        cut = region_crops(whole, found.boxes, spec, count=4, margin=0.1)
        table = pack_regions(found, classifier.top(cut, 5))
    assert table.shape == (5, 14)
    assert float(table[0, 0]) == 2.0
    classifier.close()


def test_class_map_agrees_with_the_cpu_and_nobody_waits(gpu: torch.device) -> None:
    """With random weights: nearly every pixel the same, with and without a floor."""
    source = ModelSource.parse('torchvision/lraspp_mobilenet_v3_large')
    spec = network_input(source, 'segmentation', wanted=(256, 192))
    torch.manual_seed(3)
    module = source.load(weights='none', device=CPU)
    maps = {}
    for device in (CPU, gpu):
        model = load_model(source, device=device, weights='none', capture_lock=threading.Lock())
        forward = model._forward  # type: ignore[attr-defined]
        forward.module.load_state_dict(module.state_dict())
        segmenter = Segmenter.warmed(model, spec, device=device)
        picture = prepared(device, spec)
        with torch.inference_mode():
            maps[device] = segmenter(picture)
    with torch.inference_mode(), no_waiting():
        ids = segmenter(picture, confidence_floor=0.06)
    palette = pascal_palette().to(gpu)
    with no_waiting():
        colors = colored(ids, palette)
    assert colors.shape == (480, 640, 3)
    same = (maps[CPU] == maps[gpu].cpu()).float().mean()
    print(f'{float(same):.4f} of the pixels agree')
    assert float(same) > 0.95
    segmenter.close()
