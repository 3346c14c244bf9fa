# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors in fixed shapes against torchvision's own code, on photographs."""

from __future__ import annotations

from pathlib import Path
import threading
from typing import Any

import cv2
from lively_detectors import assert_same
from lively_detectors import lively
from lively_detectors import Prepared
from lively_detectors import torchvision_finds
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision import models
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import box_iou
from torchvision.ops import FrozenBatchNorm2d

from gpu_components.resources import resolve_path
from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import DetectionPreset
from gpu_runtime.detection import Detections
from gpu_runtime.detection import PictureLimits
from gpu_runtime.detection import resolve_preset
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import load_model
from gpu_runtime.models import Model
from gpu_runtime.models import ModelSource
from gpu_runtime.models.detectors import region_proposals
from gpu_runtime.models.detectors import TorchvisionDetector
from gpu_runtime.models.detectors.fold_norms import fold_norms
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform

CPU = torch.device('cpu')
SMALLEST = 'fasterrcnn_mobilenet_v3_large_320_fpn'
SOURCE = ModelSource.parse(f'torchvision/{SMALLEST}')
LIMITS = DetectionLimits(0.05, 0.5, 100)
SMALL = {'min_size': 128, 'max_size': 208}
FEW = {**SMALL, 'rpn_pre_nms_top_n_test': 200, 'rpn_post_nms_top_n_test': 100}
CASES = {
    SMALLEST: {},
    'fasterrcnn_resnet50_fpn_v2': FEW,
    'retinanet_resnet50_fpn': SMALL,
    'fcos_resnet50_fpn': SMALL,
    'ssdlite320_mobilenet_v3_large': {},
}
"""One of each kind of head and norm; on a GPU all names are compared."""


def photograph(name: str, crop: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
    """Return a part of a photograph as RGB."""
    return cv2.imread(resolve_path(f'package://skimage/data/{name}'))[:, :, ::-1][crop].copy()


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """Return what torchvision's detectors read."""
    return torch.from_numpy(picture).permute(2, 0, 1) / 255


@pytest.mark.parametrize('name', CASES)
def test_equals_torchvision_on_the_same_tensor(name: str) -> None:
    own = lively(name, **CASES[name])
    images, _ = own.transform([as_tensor(photograph('rocket.jpg'))])
    height, width = images.image_sizes[0]
    tensor = images.tensors[:, :, :height, :width].clone()
    fixed = TorchvisionDetector(own)  # folds the norms of both
    own.transform = Prepared(own.transform.size_divisible)
    preset = resolve_preset('auto', ModelSource.parse(f'torchvision/{name}'))
    with torch.inference_mode():
        outputs = fixed(tensor)
    identity = AffineMap(1, 1, 0, 0, (width, height))
    for limits in (LIMITS, DetectionLimits(0.3, 0.2, 7)):
        found = preset.decode(outputs, PictureLimits.of(limits, identity, CPU))
        want = torchvision_finds(own, tensor[0], limits)
        assert assert_same(found, want) == limits.max_detections


class Whole:
    """A detector behind everything a frame goes through, and torchvision's own."""

    def __init__(self, folder: Path) -> None:
        self.own = lively(SMALLEST)
        self.file = folder / 'lively.pth'
        torch.save(self.own.state_dict(), self.file)
        self.model = self.load()
        self.transform = TorchTransform(CPU)

    def load(self) -> Model:
        """Load the weights as a component does."""
        lock = threading.Lock()
        return load_model(SOURCE, device=CPU, weights=str(self.file), capture_lock=lock)

    def find(self, picture: np.ndarray, preset: DetectionPreset) -> Detections:
        """Detect."""
        height, width, channels = picture.shape
        layout = ImageFormat(width, height, 'rgb8', width * channels)
        data = torch.from_numpy(picture.reshape(-1))
        prepared = self.transform(data, layout, preset.spec())
        return preset.decode(
            self.model(*preset.inputs(prepared)), PictureLimits.of(LIMITS, prepared.map, CPU)
        )


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Return the smallest two-stage detector."""
    return Whole(tmp_path_factory.mktemp('weights'))


@pytest.mark.parametrize(
    ('file', 'crop'),
    [
        ('rocket.jpg', np.s_[:, :]),  # 640 x 427
        ('astronaut.png', np.s_[:, :]),  # a square
        ('chelsea.png', np.s_[:, 100:250]),  # upright
        ('coffee.png', np.s_[200:290, :]),  # so wide that the longer side decides
        ('coffee.png', np.s_[100:137, 200:251]),  # enlarged
    ],
)
def test_whole_path_equals_torchvision(whole: Whole, file: str, crop: Any) -> None:
    picture = photograph(file, crop)
    found = whole.find(picture, resolve_preset('auto', SOURCE))
    want = torchvision_finds(whole.own, as_tensor(picture), LIMITS)
    assert assert_same(found, want, px=0.02, score=1e-3) > 10


def test_missing_proposals_are_no_candidates() -> None:
    """Fewer regions than the network may propose: the rest of the tensors scores below 0."""
    own = lively(SMALLEST, rpn_score_thresh=0.995)
    images, _ = own.transform([as_tensor(photograph('rocket.jpg'))])
    height, width = images.image_sizes[0]
    tensor = images.tensors[:, :, :height, :width].clone()
    fixed = TorchvisionDetector(own)
    own.transform = Prepared(32)
    proposals: list[torch.Tensor] = []
    own.rpn.register_forward_hook(lambda *call: proposals.extend(call[2][0]))
    want = torchvision_finds(own, tensor[0], LIMITS)
    with torch.inference_mode():
        boxes, scores, class_ids = fixed(tensor)
    assert 1 < len(proposals[0]) < 150
    assert scores.shape == (150 * 90,)
    scored = (scores >= 0).view(150, 90).any(dim=1)
    assert scored.tolist() == [row < len(proposals[0]) for row in range(150)]
    preset = resolve_preset('auto', SOURCE)
    found = preset.decode(
        (boxes, scores, class_ids),
        PictureLimits.of(LIMITS, AffineMap(1, 1, 0, 0, (width, height)), CPU),
    )
    assert assert_same(found, want) > 0


class Crossings(TorchDispatchMode):
    """Notes every operation that has tensors on both sides, but for scalars of the host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and note."""
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if torch.is_tensor(leaf)]
        # A kernel takes a number of the host as an argument; only a copy would wait for it.
        copies = 'copy' in str(func)
        devices = {tensor.device.type for tensor in tensors if copies or tensor.dim()}
        self.operations += 1
        if len(devices) > 1:
            self.found.append(str(func))
        return result


def on_imaginary_device(detector: Any) -> Any:
    """Give a detector weights without values on a CUDA device that need not exist."""
    for layer in detector.modules():
        for store in (layer._parameters, layer._buffers):
            for name, value in store.items():
                if value is not None:
                    empty = torch.empty(value.shape, dtype=value.dtype, device='cuda')
                    store[name] = torch.nn.Parameter(empty, requires_grad=False)
    per_cell = detector._anchor_generator.num_anchors_per_location()

    def anchors(_: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        cells = [level.shape[-2] * level.shape[-1] for level in maps]
        count = sum(a * b for a, b in zip(per_cell, cells, strict=True))
        return torch.empty((count, 4), device='cuda')

    detector._anchors_of = anchors  # made at the first picture, outside of any graph
    return detector


@pytest.mark.parametrize('name', models.list_models(module=models.detection))
def test_nothing_depends_on_what_is_in_the_picture(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run with tensors that have no values: whoever asks for one raises."""

    def kernels(boxes: torch.Tensor, *_: Any, max_detections: int, **__: Any) -> Detections:
        return Detections.empty(max_detections, boxes.device)

    # Tested by itself: test_gpu_nms runs it in a graph.
    monkeypatch.setattr(region_proposals, 'batched_nms', kernels)
    with torch.device('meta'):
        own = models.get_model_builder(name)(weights=None, weights_backbone=None).eval()
        fixed = TorchvisionDetector(own)
    with FakeTensorMode(), torch.inference_mode():
        on_imaginary_device(fixed)
        with Crossings() as crossings:
            outputs = fixed(torch.empty((1, 3, 300, 300), device='cuda'))
    assert {tensor.device.type for tensor in outputs} == {'cuda'}
    assert [tensor.dtype for tensor in outputs] == [torch.float32, torch.float32, torch.int64]
    assert crossings.operations > 100
    assert crossings.found == []


def test_torchvisions_own_code_does_depend_on_it() -> None:
    """The check above would notice."""
    with FakeTensorMode(), torch.inference_mode():
        own = models.get_model_builder(SMALLEST)(weights=None, weights_backbone=None).eval()
        with pytest.raises(DynamicOutputShapeException):
            own([torch.empty(3, 300, 300)])


def test_input_size_letterboxes_every_picture_into_one_shape(whole: Whole) -> None:
    asked = resolve_preset('auto', SOURCE, input_wh=(426, 320))
    assert asked.spec().shape(1280, 720) == asked.spec().shape(64, 64) == (1, 3, 320, 426)
    assert asked.spec().fit is Fit.LETTERBOX_TOP_LEFT
    picture = photograph('rocket.jpg', np.s_[:, 36:605])  # 569 x 427, which is 426 x 320
    own_size = whole.find(picture, resolve_preset('auto', SOURCE))
    count = int(own_size.count)
    want = {
        'boxes': own_size.boxes[:count],
        'scores': own_size.scores[:count],
        'labels': own_size.class_ids[:count],
    }
    assert assert_same(whole.find(picture, asked), want, px=0.02, score=1e-3) > 10
    wide = whole.find(photograph('coffee.png', np.s_[200:290, :]), asked)
    boxes = wide.boxes[: int(wide.count)]
    assert len(boxes) > 10
    assert bool((boxes >= 0).all() and (boxes <= torch.tensor([600, 90, 600, 90])).all())


def test_ssd_has_one_size() -> None:
    source = ModelSource.parse('torchvision/ssd300_vgg16')
    spec = resolve_preset('auto', source, input_wh=(300, 300)).spec('fp16')
    assert spec == resolve_preset('auto', source).spec('fp16')
    assert (spec.width, spec.height, spec.fit) == (300, 300, Fit.STRETCH)
    assert spec.dtype == torch.float16
    with pytest.raises(ModelError, match='reads 300x300'):
        resolve_preset('auto', source, input_wh=(512, 512))


@pytest.mark.parametrize(('short', 'long'), [(800, 1333), (320, 640)])
def test_sizes_are_torchvisions(short: int, long: int) -> None:
    spec = TensorSpec(0, 0, short_side=short, long_side=long)
    transform = GeneralizedRCNNTransform(short, long, [0.0] * 3, [1.0] * 3).eval()
    generator = np.random.default_rng(0)
    random = generator.integers(16, 2000, (40, 2)).tolist()
    for width, height in [(640, 480), (1280, 720), (1920, 1080), (480, 640), *random]:
        picture = torch.empty((3, height, width), device='meta')
        resized, _ = transform.resize(picture)
        assert spec.shape(width, height)[1:] == tuple(resized.shape), (width, height)
        fitted = AffineMap.fit(spec, width, height)
        assert fitted.inner_wh == tuple(resized.shape)[:0:-1]


@pytest.mark.parametrize(
    'fields',
    [
        {'short_side': 800},
        {'long_side': 800},
        {'short_side': 800, 'long_side': 600},
        {'width': 64, 'short_side': 8, 'long_side': 9},
    ],
)
def test_sides_that_contradict_the_size_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(SpecMismatchError, match='short side'):
        TensorSpec(**{'width': 0, 'height': 0, **fields})


def frozen() -> torch.nn.Sequential:
    """Return a convolution and a norm with the epsilon of published ones, and little variance."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 3, bias=False)
    convolution.weight.data.mul_(1e-5)
    norm = FrozenBatchNorm2d(4, eps=0.0)
    norm.running_var.fill_(1e-10)  # which is 0 in float16
    norm.running_mean.fill_(1e-5)
    return torch.nn.Sequential(convolution, norm).eval()


@torch.inference_mode()
def test_norms_are_folded_before_float16_loses_them() -> None:
    picture = torch.rand(1, 3, 8, 8)
    want = frozen()(picture)
    assert not frozen().half()(picture.half()).isfinite().all()
    folded = frozen()
    fold_norms(folded)
    assert not any(isinstance(layer, FrozenBatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded(picture), want)
    torch.testing.assert_close(folded.half()(picture.half()).float(), want, atol=0.01, rtol=0.01)


def test_folding_changes_no_feature() -> None:
    own = lively('fasterrcnn_mobilenet_v3_large_fpn', **SMALL)
    picture = as_tensor(photograph('rocket.jpg'))[None, :, :128, :192]
    with torch.inference_mode():
        want = own.backbone(picture)
        fold_norms(own)
        found = own.backbone(picture)
    for name, level in want.items():
        assert float((found[name] - level).abs().max() / level.abs().max()) < 1e-4
    assert not any(isinstance(layer, FrozenBatchNorm2d) for layer in own.modules())


def test_float16_finds_the_same_objects() -> None:
    """Boxes are counted in float32: only the network rounds."""
    own = lively(SMALLEST)
    images, _ = own.transform([as_tensor(photograph('rocket.jpg'))])
    fixed = TorchvisionDetector(own)
    tensor = images.tensors[:, :, :320].clone()
    identity = AffineMap(1, 1, 0, 0, (tensor.shape[3], 320))
    preset = resolve_preset('auto', SOURCE)
    with torch.inference_mode():
        want = preset.decode(fixed(tensor), PictureLimits.of(LIMITS, identity, CPU))
        outputs = fixed.half()(tensor.half())
    assert [output.dtype for output in outputs] == [torch.float32, torch.float32, torch.int64]
    assert fixed._anchors[tensor.shape].dtype == torch.float32
    found = preset.decode(outputs, PictureLimits.of(LIMITS, identity, CPU))
    overlap = box_iou(want.boxes, found.boxes) * (want.class_ids[:, None] == found.class_ids)
    again = int((overlap.amax(dim=1)[:30] > 0.8).sum())
    print(f'{again} of the best 30 found again')
    assert again >= 24
