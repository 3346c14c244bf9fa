# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Several pictures through one call of a network that was exported for one."""

from __future__ import annotations

from pathlib import Path
import threading

import cv2
import numpy as np
from onnx import helper
from onnx import ModelProto
from onnx import numpy_helper
from onnx import save
from onnx import TensorProto
import pytest
import torch

from gpu_runtime.detection import Decoder
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import Detections
from gpu_runtime.detection import Detector
from gpu_runtime.detection import LimitsBlock
from gpu_runtime.detection import load_labels
from gpu_runtime.detection import resolve_preset
from gpu_runtime.detection.limits_block import CAPACITY
from gpu_runtime.errors import ModelError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models.onnx_batch import free_batch
from gpu_runtime.pinned_pool import PinnedPool

CPU = torch.device('cpu')


def reshaping(shape: list[int], batch: int | str = 1, **attributes: int) -> ModelProto:
    """Return a network (batch, 2, 6) that reshapes."""
    node = helper.make_node('Reshape', ['x', 'shape'], ['y'], **attributes)
    graph = helper.make_graph(
        [node],
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [batch, 2, 6])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, list('abc')[: len(shape)])],
        [numpy_helper.from_array(np.array(shape, np.int64), 'shape')],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 14)])


def detector(path: Path, max_batch: int) -> Detector:
    """Return a warm detector."""
    source = ModelSource.parse(str(path))
    preset = resolve_preset('auto', source, input_wh=None)
    block = LimitsBlock(CPU, PinnedPool(CPU), pictures=max_batch)
    decoder = Decoder(preset, block)
    model = load_model(source, device=CPU, capture_lock=threading.Lock(), finish=decoder)
    made = Detector(model, decoder, preset.spec(), load_labels(preset.default_labels))
    made.warm_up(CPU, 'fp32')
    return made


def test_a_batch_of_one_is_kept_from_the_input(tmp_path: Path) -> None:
    """Three pictures come out as three."""
    path = tmp_path / 'a.onnx'
    save(reshaping([1, 3, -1]), str(path))
    module = ModelSource.parse(str(path)).load(device=CPU)
    pictures = torch.randn(3, 2, 6)
    assert torch.equal(module(pictures), pictures.reshape(3, 3, 4))
    assert torch.equal(module(pictures[:1]), pictures[:1].reshape(1, 3, 4))


@pytest.mark.parametrize(
    ('shape', 'batch', 'attributes'),
    [
        ([2, 6, 1], 1, {}),  # not a batch
        ([1, 3, -1], 'n', {}),  # nobody says that the input is one picture
        ([1, 3, 4], 1, {'allowzero': 1}),  # a 0 would mean none
        ([-1], 1, {}),
    ],
)
def test_what_is_not_known_to_be_a_batch_stays(
    shape: list[int], batch: int | str, attributes: dict[str, int]
) -> None:
    model = reshaping(shape, batch, **attributes)
    before = model.SerializeToString()
    free_batch(model)
    assert model.SerializeToString() == before


@pytest.mark.shared
@pytest.mark.parametrize(
    'name', ['yolox_nano_coco_416.onnx', 'deimv2_hgnetv2_femto_coco.onnx'], ids=['yolox', 'detr']
)
def test_each_picture_of_a_batch_gets_what_it_gets_alone(shared_dir: Path, name: str) -> None:
    """Of different sizes, so each with a map of its own."""
    found = detector(shared_dir / 'models/detection' / name, 2)
    context = GpuContext('cpu')
    stream = context.streams.lease('test')
    frames = []
    for photo in ('dog.jpg', 'pets.jpg'):
        pixels = cv2.imread(str(shared_dir / 'data/photos' / photo))
        assert pixels is not None, photo
        layout = ImageFormat(pixels.shape[1], pixels.shape[0], 'bgr8', pixels.shape[1] * 3)
        frames.append(context.frame(Header(1, 'camera'), layout, pixels))
    with stream, torch.inference_mode():
        prepared = [frame.tensor(found.spec, stream) for frame in frames]
        alone = [found(one, DetectionLimits()) for one in prepared]
        together = found.batch(prepared, DetectionLimits())
    assert together.shape == (2, CAPACITY + 1, 6)
    for one, other in zip(
        map(Detections.of_packed, alone), map(Detections.of_packed, together), strict=True
    ):
        count = int(one.count)
        assert count == int(other.count) > 0
        assert torch.equal(one.class_ids, other.class_ids)
        torch.testing.assert_close(one.boxes, other.boxes, atol=0.05, rtol=0.0)
        torch.testing.assert_close(one.scores, other.scores, atol=1e-4, rtol=0.0)
    context.streams.release(stream)
    assert context.close() == []


def test_a_network_of_one_picture_says_so() -> None:
    """At once, not at the first busy moment."""
    source = ModelSource.parse('torchvision/ssdlite320_mobilenet_v3_large')
    preset = resolve_preset('auto', source, input_wh=None)
    decoder = Decoder(preset, LimitsBlock(CPU, PinnedPool(CPU), pictures=2))
    lock = threading.Lock()
    model = load_model(source, device=CPU, weights='none', capture_lock=lock, finish=decoder)
    one = Detector(model, decoder, preset.spec(), load_labels(preset.default_labels))
    with pytest.raises(ModelError, match='max_batch'):
        one.warm_up(CPU, 'fp32')
