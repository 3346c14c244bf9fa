# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Class maps: back to source pixels, scores, colours, real networks."""

from __future__ import annotations

from pathlib import Path
import threading

import cv2
import numpy as np
import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.classification import network_input
from gpu_runtime.detection.label_map import LabelMap
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.segmentation import class_map
from gpu_runtime.segmentation import colored
from gpu_runtime.segmentation import load_palette
from gpu_runtime.segmentation import pascal_palette
from gpu_runtime.segmentation import Segmenter
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms import PreparedTensor

CPU = torch.device('cpu')
ROAD = 'models/segmentation/road_segmentation_adas_0001_512x896.onnx'


class Brightness:
    """A network of two classes, dark and bright, at a quarter of the size; follows ``Model``."""

    closed = False

    def __init__(self, stride: int = 4) -> None:
        self._stride = stride

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """Need nothing."""

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return (1, 2, h, w)."""
        grey = torch.nn.functional.avg_pool2d(inputs[0].mean(1, keepdim=True), self._stride)
        return (torch.cat((0.5 - grey, grey - 0.5), dim=1),)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Returns(Brightness):
    """A network that returns what it is told to."""

    def __init__(self, *outputs: torch.Tensor) -> None:
        super().__init__()
        self._outputs = outputs

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return it."""
        return self._outputs


def halves(width: int, height: int) -> np.ndarray:
    """Return a picture that is black on the left and white on the right."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, width // 2 :] = 255
    return picture


def prepared(picture: np.ndarray, spec: TensorSpec) -> PreparedTensor:
    """Prepare a BGR picture."""
    height, width = picture.shape[:2]
    data = torch.from_numpy(np.ascontiguousarray(picture).reshape(-1))
    layout = ImageFormat(width, height, 'bgr8', width * 3)
    return make_image_transform(CPU)(data, layout, spec)


@pytest.mark.parametrize('fit', list(Fit))
@pytest.mark.parametrize('size', [(200, 100), (90, 160), (64, 64)])
def test_the_map_lies_on_the_source_whatever_the_fit(fit: Fit, size: tuple[int, int]) -> None:
    """The border between two halves is where it was, within one step of the network."""
    spec = TensorSpec(64, 64, fit)
    segmenter = Segmenter.warmed(Brightness(), spec, device=CPU)
    ids = segmenter(prepared(halves(*size), spec))
    assert ids.shape == size[::-1]
    assert ids.dtype == torch.uint8
    expected = torch.from_numpy(halves(*size)[:, :, 0] // 255)
    columns = (ids != expected).sum(dim=1)
    assert columns.max() <= max(size) / 64 * 3


def test_the_best_class_is_that_of_interpolated_scores() -> None:
    """Coarse outputs are enlarged before the choice: straight borders, not blocks."""
    scores = torch.zeros(1, 2, 2, 2)
    scores[0, 1] = torch.tensor([[-3.0, 1.0], [-3.0, 1.0]])
    place = AffineMap.fit(TensorSpec(8, 8), 8, 8)
    ids = class_map(scores, place, (8, 8))
    assert ids[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_uncertain_pixels_become_void() -> None:
    """By their best score, whether the outputs are logits or probabilities."""
    logits = torch.tensor([[4.0, 0.1], [-4.0, 0.0]]).view(1, 2, 1, 2)
    place = AffineMap.fit(TensorSpec(2, 1), 2, 1)
    for outputs, activation in ((logits, 'softmax'), (logits.softmax(1), 'none')):
        ids = class_map(
            outputs,
            place,
            (1, 2),
            activation=activation,  # type: ignore[arg-type]
            confidence_floor=0.9,
        )
        assert ids.tolist() == [[0, 255]]
    ids = class_map(logits, place, (1, 2), confidence_floor=0.9, void_class=7)
    assert ids.tolist() == [[0, 7]]


def test_networks_that_choose_themselves() -> None:
    """Integer outputs are the ids; they need labels and have no scores."""
    given = torch.tensor([[[3, 0], [1, 2]]])
    spec = TensorSpec(2, 2)
    with pytest.raises(ParameterError, match='labels auto'):
        Segmenter.warmed(Returns(given), spec, device=CPU)
    segmenter = Segmenter.warmed(Returns(given), spec, device=CPU, labels=list('abcd'))
    assert not segmenter.scored
    ids = segmenter(prepared(halves(4, 4), spec))
    assert ids.tolist() == [[3, 3, 0, 0]] * 2 + [[1, 1, 2, 2]] * 2


def test_outputs_with_the_classes_last() -> None:
    """As networks that read NHWC return them."""
    spec = TensorSpec(8, 4, layout=Layout.NHWC)
    scores = torch.zeros(1, 4, 8, 3)
    scores[..., 2] = 1.0
    segmenter = Segmenter.warmed(Returns(scores), spec, device=CPU)
    assert len(segmenter.labels) == 3
    assert segmenter(prepared(halves(16, 8), spec)).unique().tolist() == [2]


def test_a_network_that_does_not_segment_is_refused_and_closed() -> None:
    """Its outputs are named."""
    model = Returns(torch.zeros(1, 1000))
    with pytest.raises(ModelError, match=r'\(1, 1000\); expected'):
        Segmenter.warmed(model, TensorSpec(8, 8), device=CPU)
    assert model.closed
    with pytest.raises(ModelError, match='expected'):
        Segmenter.warmed(Returns(torch.zeros(1, 1, 8, 8)), TensorSpec(8, 8), device=CPU)


def test_pascal_colors() -> None:
    """The first colours as the challenge lists them; all 256 differ."""
    palette = pascal_palette()
    assert palette[:5].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
    ]
    assert palette[15].tolist() == [192, 128, 128]
    assert palette[255].tolist() == [224, 224, 192]
    assert len({tuple(color) for color in palette.tolist()}) == 256


def test_palettes_of_users() -> None:
    """By class id or by name; the rest keeps its colour; nonsense is refused."""
    labels = LabelMap(['background', 'cat', 'dog'])
    palette = load_palette(['#010203', 'dog=#ff8000'], labels)
    assert palette[:3].tolist() == [[1, 2, 3], [128, 0, 0], [255, 128, 0]]
    for entries, match in (
        (['red'], 'no colour'),
        (['horse=#000000'], 'horse'),
        ('x', 'no colour'),
    ):
        with pytest.raises(ParameterError, match=match):
            load_palette(entries, labels)
    with pytest.raises(ParameterError, match='at most 256'):
        load_palette(['#000000'] * 257)
    ids = torch.tensor([[0, 2], [1, 255]], dtype=torch.uint8)
    assert colored(ids, palette)[0].tolist() == [[1, 2, 3], [255, 128, 0]]
    assert colored(ids, palette)[1, 1].tolist() == [224, 224, 192]


def test_torchvision_segmenter_with_random_weights() -> None:
    """VOC's names without a download, a map at source size."""
    source = ModelSource.parse('torchvision/lraspp_mobilenet_v3_large')
    spec = network_input(source, 'segmentation', wanted=(96, 64))
    assert network_input(source, 'segmentation').width == 520
    model = load_model(source, device=CPU, weights='none', capture_lock=threading.Lock())
    segmenter = Segmenter.warmed(model, spec, device=CPU)
    assert segmenter.labels.name(12) == 'dog'
    with torch.inference_mode():
        ids = segmenter(prepared(halves(120, 90), spec))
    assert ids.shape == (90, 120)
    assert int(ids.max()) < 21
    segmenter.close()


def test_road_model_reads_pixels_and_gives_probabilities(shared_dir: Path) -> None:
    """A real NHWC network: the lane in front of a car is road, the sky is not."""
    source = ModelSource.parse(str(shared_dir / ROAD))
    spec = network_input(source, 'segmentation', channels='bgr', normalization='bytes')
    model = load_model(source, device=CPU, capture_lock=threading.Lock())
    names = ['background', 'road', 'curb', 'mark']
    segmenter = Segmenter.warmed(model, spec, device=CPU, labels=names)
    assert segmenter.activation == 'none'
    ok, picture = cv2.VideoCapture(str(shared_dir / 'data/video/solidWhiteRight.mp4')).read()
    assert ok
    with torch.inference_mode():
        ids = segmenter(prepared(picture, spec)).numpy()
    height, width = ids.shape
    below = ids[int(height * 0.7) : int(height * 0.9), int(width * 0.4) : int(width * 0.6)]
    above = ids[: int(height * 0.4)]
    print(f'road below {np.mean(below == 1):.3f}, above {np.mean(above == 1):.3f}')
    assert np.mean(below == 1) > 0.95
    assert np.mean(above == 1) < 0.01
