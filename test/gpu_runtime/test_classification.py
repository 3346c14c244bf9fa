# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Classifiers on pictures and on parts of pictures: inputs, names, scores."""

from __future__ import annotations

from pathlib import Path
import threading
from typing import Any

from accuracy import classification_scores
from accuracy import require_scores
import cv2
import numpy as np
from onnx import helper
from onnx import save as save_onnx
from onnx import TensorProto
import pytest
import torch
from torch.nn import functional

from gpu_runtime.classification import class_names
from gpu_runtime.classification import Classifier
from gpu_runtime.classification import network_input
from gpu_runtime.classification import pack_regions
from gpu_runtime.classification import region_crops
from gpu_runtime.classification import unpack_regions
from gpu_runtime.classification.activation import activate
from gpu_runtime.classification.activation import resolve_activation
from gpu_runtime.detection import Detections
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.models import load_model
from gpu_runtime.models import Model
from gpu_runtime.models import ModelSource
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform

CPU = torch.device('cpu')
LITE = 'models/classification/efficientnet_lite0_imagenet.onnx'
LABELS_1001 = 'models/classification/imagenet_labels_1001.txt'


def loaded(source: ModelSource, weights: str = 'DEFAULT') -> Model:
    """Load a model on the CPU."""
    return load_model(source, device=CPU, weights=weights, capture_lock=threading.Lock())


class MeanColor:
    """A network that scores red, green and blue by their mean; follows ``Model``."""

    closed = False

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """Need nothing."""

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return (N, 3)."""
        return (inputs[0].mean(dim=(2, 3)),)

    def close(self) -> None:
        """Note it."""
        self.closed = True


def plain_spec(side: int = 8) -> TensorSpec:
    """Return RGB from 0 to 1."""
    return TensorSpec(side, side)


def onnx_file(path: Path, shape: list[int]) -> ModelSource:
    """Write an ONNX file that returns its input of a shape."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in 'xy']
    graph = helper.make_graph(
        [helper.make_node('Identity', ['x'], ['y'])], 'g', ends[:1], ends[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    save_onnx(model, str(path))
    return ModelSource.parse(str(path))


def test_activation_is_told_from_the_outputs() -> None:
    """Probabilities stay, everything else goes through softmax; a choice is kept."""
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    assert resolve_activation('auto', logits) == 'softmax'
    assert resolve_activation('auto', logits.abs()) == 'softmax'
    assert resolve_activation('auto', logits.softmax(1)) == 'none'
    assert resolve_activation('sigmoid', logits) == 'sigmoid'
    assert torch.equal(activate(logits, 'softmax'), logits.softmax(1))
    assert torch.equal(activate(logits, 'sigmoid'), logits.sigmoid())
    assert torch.equal(activate(logits, 'none'), logits)


def test_names_with_and_without_a_background_class() -> None:
    """ImageNet comes with 1000 and with 1001 classes; both get the right names."""
    assert class_names('auto', 1000).name(0) == 'tench'
    assert class_names('auto', 1001).name(0) == 'background'
    assert class_names('auto', 1001).name(1) == 'tench'
    assert class_names('auto', 21).name(15) == 'person'
    assert class_names('auto', 7).names == tuple('0123456')
    assert class_names(['background', 'a', 'b'], 2).names == ('a', 'b')
    assert class_names(['a', 'b'], 3).names == ('background', 'a', 'b')
    for names, count in ((list('abcd'), 3), (['background', 'a'], 3), (list('ab'), 4)):
        with pytest.raises(ParameterError, match=f'tells {count} classes apart'):
            class_names(names, count)


def test_input_of_torchvision_networks_is_what_they_publish() -> None:
    """Size, mean and deviation; the colour order turns the mean."""
    spec = network_input(ModelSource.parse('torchvision/resnet18'), 'classification')
    assert (spec.width, spec.height) == (224, 224)
    assert spec.mean == pytest.approx((0.485, 0.456, 0.406))
    large = network_input(ModelSource.parse('torchvision/inception_v3'), 'classification')
    assert (large.width, large.height) == (299, 299)
    bgr = network_input(
        ModelSource.parse('torchvision/resnet18'), 'classification', channels='bgr'
    )
    assert bgr.mean == spec.mean[::-1]


def test_input_of_files(tmp_path: Path) -> None:
    """The size is the file's, so is the order of axes; the range has to be told."""
    planes = onnx_file(tmp_path / 'planes.onnx', [1, 3, 32, 64])
    spec = network_input(planes, 'classification', normalization='symmetric')
    assert (spec.width, spec.height, spec.layout) == (64, 32, Layout.NCHW)
    assert 255 * spec.scale - spec.mean[0] == pytest.approx(1.0)
    pixels = onnx_file(tmp_path / 'pixels.onnx', [1, 32, 64, 3])
    spec = network_input(pixels, 'segmentation', normalization='bytes', channels='bgr')
    assert (spec.width, spec.height, spec.layout) == (64, 32, Layout.NHWC)
    assert spec.scale == 1.0
    with pytest.raises(ParameterError, match=r'normalization auto.*unit, imagenet'):
        network_input(planes, 'classification')
    with pytest.raises(ModelError, match='reads 64x32 px'):
        network_input(planes, 'classification', wanted=(32, 32), normalization='unit')
    with pytest.raises(ModelError, match='expected one picture'):
        network_input(
            onnx_file(tmp_path / 'row.onnx', [1, 100]), 'classification', normalization='unit'
        )


def test_networks_of_another_task_are_refused() -> None:
    """By name, before anything is loaded."""
    for name, task in (('fcn_resnet50', 'classification'), ('resnet18', 'segmentation')):
        with pytest.raises(ModelError, match=f'is not for {task}'):
            network_input(ModelSource.parse(f'torchvision/{name}'), task)  # type: ignore[arg-type]


def test_top_classes_and_scores() -> None:
    """In falling order, as many as there are."""
    spec = plain_spec()
    classifier = Classifier.warmed(MeanColor(), spec, device=CPU, labels=['red', 'green', 'blue'])
    picture = torch.tensor([0.2, 0.9, 0.4]).view(1, 3, 1, 1).expand(spec.shape(8, 8))
    (top,) = classifier.top(picture, 5)
    assert [classifier.labels.name(int(i)) for i in top[:, 0]] == ['green', 'blue', 'red']
    expected = torch.tensor([0.9, 0.4, 0.2]).softmax(0)
    assert top[:, 1] == pytest.approx(expected.tolist(), abs=1e-6)
    assert classifier.top(picture, 1).shape == (1, 1, 2)


def test_a_network_that_does_not_fit_is_refused_and_closed() -> None:
    """Wrong labels and maps instead of scores."""
    model = MeanColor()
    with pytest.raises(ParameterError, match='7 names'):
        Classifier.warmed(model, plain_spec(), device=CPU, labels=list('abcdefg'))
    assert model.closed

    class Map(MeanColor):
        def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return inputs

    with pytest.raises(ModelError, match='one score per class'):
        Classifier.warmed(Map(), plain_spec(), device=CPU)


def test_a_region_is_what_resizing_the_crop_gives() -> None:
    """On whole pixels and shrinking by two, a crop is the average of each two by two."""
    picture = torch.rand(1, 3, 40, 60)
    boxes = torch.tensor([[10.0, 4.0, 26.0, 20.0], [0.0, 0.0, 60.0, 40.0]])
    spec = plain_spec(8)
    crops = region_crops(picture, boxes, spec, count=3)
    assert crops.shape == (3, 3, 8, 8)
    expected = functional.avg_pool2d(picture[:, :, 4:20, 10:26], 2)[0]
    assert torch.allclose(crops[0], expected, atol=1e-5)
    assert torch.equal(crops[2], torch.zeros(3, 8, 8))
    assert crops[1].mean().item() == pytest.approx(picture.mean().item(), abs=0.02)
    last = TensorSpec(8, 8, layout=Layout.NHWC, dtype=torch.float16)
    crops = region_crops(picture, boxes, last, count=1)
    assert crops.shape == (1, 8, 8, 3)
    assert crops.dtype == torch.float16


def test_margin_grows_a_region_as_far_as_the_picture_goes() -> None:
    """By the same part on each side."""
    picture = torch.rand(1, 3, 40, 60)
    grown = region_crops(
        picture, torch.tensor([[20.0, 10.0, 30.0, 20.0]]), plain_spec(), count=1, margin=0.5
    )
    same = region_crops(picture, torch.tensor([[15.0, 5.0, 35.0, 25.0]]), plain_spec(), count=1)
    assert torch.allclose(grown, same, atol=1e-6)
    all_of_it = region_crops(
        picture, torch.tensor([[0.0, 0.0, 60.0, 40.0]]), plain_spec(), count=1, margin=1.0
    )
    assert all_of_it.min() > 0.0


@pytest.mark.parametrize('found', [0, 2, 5])
def test_regions_survive_packing(found: int) -> None:
    """Only real regions come back, at most those that were classified."""
    boxes = torch.arange(20, dtype=torch.float32).view(5, 4)
    detections = Detections(
        boxes, torch.zeros(5), torch.zeros(5, dtype=torch.int64), torch.tensor(found)
    )
    top = torch.stack((torch.tensor([[7, 3]] * 4), torch.tensor([[0.75, 0.25]] * 4)), dim=2)
    back, ids, scores = unpack_regions(pack_regions(detections, top).numpy())
    count = min(found, 4)
    assert np.array_equal(back, boxes[:count].numpy())
    assert ids.tolist() == [[7, 3]] * count
    assert scores.tolist() == [[0.75, 0.25]] * count


def test_fewer_boxes_than_regions() -> None:
    """A detector may report fewer boxes than a batch holds."""
    detections = Detections.empty(2, CPU)
    packed = pack_regions(detections, torch.zeros(6, 1, 2))
    assert packed.shape == (7, 6)
    assert unpack_regions(packed.numpy())[0].shape == (0, 4)


def test_torchvision_network_reads_a_batch_of_regions() -> None:
    """With random weights: shapes and names, without a download."""
    source = ModelSource.parse('torchvision/mobilenet_v3_small')
    spec = network_input(source, 'classification', wanted=(64, 64))
    classifier = Classifier.warmed(loaded(source, 'none'), spec, device=CPU, batch=3)
    assert len(classifier.labels) == 1000
    assert classifier.picture_spec.shape(50, 40) == (1, 3, 40, 50)
    with torch.inference_mode():
        top = classifier.top(torch.rand(3, 3, 64, 64), 2)
    assert top.shape == (3, 2, 2)
    classifier.close()


@pytest.fixture(scope='module')
def lite(shared_dir: Path) -> Classifier:
    """Load a real network, with labels that have a background class more than it."""
    source = ModelSource.parse(str(shared_dir / LITE))
    spec = network_input(source, 'classification', normalization='imagenet')
    labels = str(shared_dir / LABELS_1001)
    return Classifier.warmed(loaded(source), spec, device=CPU, batch=2, labels=labels)


def classified(classifier: Classifier, picture: Any) -> tuple[str, float]:
    """Return the best class of a BGR picture and its score."""
    height, width = picture.shape[:2]
    data = torch.from_numpy(np.ascontiguousarray(picture).reshape(-1))
    transform = make_image_transform(CPU)
    layout = ImageFormat(width, height, 'bgr8', width * 3)
    with torch.inference_mode():
        top = classifier.top(transform(data, layout, classifier.spec).tensor, 1)[0, 0]
    return classifier.labels.name(int(top[0])), float(top[1])


def test_real_photographs_are_named(lite: Classifier, shared_dir: Path) -> None:
    """The names are right with a label file of 1001 lines for 1000 classes."""
    require_scores(classification_scores(shared_dir, lambda picture: classified(lite, picture)))


def test_a_region_is_classified_as_its_own_picture(lite: Classifier, shared_dir: Path) -> None:
    """The parrot is found in a corner of a grey picture, and nothing like it beside."""
    parrot = cv2.imread(str(shared_dir / 'data/photos/parrot.jpg'))
    height, width = parrot.shape[:2]
    scene = np.full((height + 100, width + 400, 3), 128, np.uint8)
    scene[60 : 60 + height, 300 : 300 + width] = parrot
    data = torch.from_numpy(scene.reshape(-1))
    layout = ImageFormat(scene.shape[1], scene.shape[0], 'bgr8', scene.shape[1] * 3)
    whole = make_image_transform(CPU)(data, layout, lite.picture_spec).tensor
    box = torch.tensor([[300.0, 60.0, 300.0 + width, 60.0 + height]])
    with torch.inference_mode():
        top = lite.top(region_crops(whole, box, lite.spec, count=2), 1)
    assert lite.labels.name(int(top[0, 0, 0])) == 'macaw'
    alone = classified(lite, parrot)[1]
    print(f'alone {alone:.3f}, as a region {float(top[0, 0, 1]):.3f}')
    assert float(top[0, 0, 1]) == pytest.approx(alone, abs=0.05)
