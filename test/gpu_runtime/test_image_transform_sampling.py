# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How the torch image transform resizes, against OpenCV, PIL and hand values."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
import pytest
import torch
from transform_pictures import as_bytes
from transform_pictures import CPU
from transform_pictures import Picture
from transform_pictures import prepare
from transform_pictures import random_picture
from transform_pictures import TO_RGB

from gpu_runtime.fit import Fit
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform


def averaged_by_pil(picture: Picture, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the picture at a size by PIL's bilinear on floats, which antialiases."""
    planes = (Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(picture, 2, 0))
    resized = [np.asarray(plane.resize(size_wh, Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, axis=2)


@pytest.mark.parametrize(
    ('source_wh', 'target_wh'),
    [
        ((64, 48), (64, 48)),
        ((64, 48), (31, 17)),
        ((37, 23), (64, 48)),
        ((37, 23), (20, 51)),
        ((1, 1), (5, 3)),
        ((1, 9), (4, 4)),
        ((320, 240), (7, 5)),
    ],
)
def test_stretch_equals_opencv_on_floats(
    source_wh: tuple[int, int], target_wh: tuple[int, int]
) -> None:
    picture = random_picture(*source_wh)
    prepared = prepare(picture, TensorSpec(*target_wh, scale=1.0, antialias=False))
    expected = cv2.resize(picture.astype(np.float32), target_wh, interpolation=cv2.INTER_LINEAR)
    assert prepared.tensor.shape == (1, 3, target_wh[1], target_wh[0])
    np.testing.assert_allclose(
        prepared.tensor[0].permute(1, 2, 0).numpy(), expected, rtol=0, atol=0.05
    )


def test_hand_values_of_the_half_pixel_rule() -> None:
    picture = np.array([[[0], [100]]], dtype=np.uint8)
    spec = TensorSpec(4, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    prepared = prepare(picture, spec, 'mono8')
    assert prepared.tensor.flatten().tolist() == [0.0, 25.0, 75.0, 100.0]


def test_downscale_takes_two_neighbours_without_antialiasing() -> None:
    picture = np.arange(0, 80, 10, dtype=np.uint8).reshape(1, 8, 1)
    spec = TensorSpec(2, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,), antialias=False)
    assert prepare(picture, spec, 'mono8').tensor.flatten().tolist() == [15.0, 55.0]


def test_hand_values_of_the_triangle() -> None:
    # Halved, a tensor pixel weighs the four source pixels around it 1 3 3 1, fewer at an edge.
    picture = np.array([[[0], [8], [80], [240]]], dtype=np.uint8)
    spec = TensorSpec(2, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    data, format = as_bytes(picture, 'mono8')
    tensor = TorchTransform(CPU, exact=True)(data, format, spec).tensor
    expected = [(3 * 0 + 3 * 8 + 80) / 7, (8 + 3 * 80 + 3 * 240) / 7]
    assert tensor.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_antialiasing_makes_no_difference_unless_an_axis_shrinks() -> None:
    picture = random_picture(37, 23)
    for size in ((37, 23), (64, 48), (37, 100)):
        sampled = prepare(picture, TensorSpec(*size, antialias=False))
        averaged = prepare(picture, TensorSpec(*size))
        assert torch.equal(sampled.tensor, averaged.tensor)
        assert averaged.map == sampled.map
    assert TensorSpec(8, 8) != TensorSpec(8, 8, antialias=False)


@pytest.mark.parametrize('encoding', [*sorted(TO_RGB), 'mono8'])
@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('exact', [False, True])
@pytest.mark.parametrize(
    ('source_wh', 'target_wh'),
    [
        ((64, 48), (64, 47)),
        ((65, 39), (50, 30)),  # 1.3
        ((101, 67), (22, 15)),  # 4.6
        ((37, 23), (20, 51)),
        ((300, 301), (1, 1)),
        ((601, 3), (2, 9)),
        ((1, 300), (5, 1)),
        ((1, 300), (1, 40)),
        ((2, 2), (1, 3)),
    ],
)
def test_shrinking_averages_as_pil_does_on_floats(
    source_wh: tuple[int, int],
    target_wh: tuple[int, int],
    exact: bool,
    padding: int,
    encoding: str,
) -> None:
    picture = random_picture(*source_wh, 1 if encoding == 'mono8' else 3)
    data, format = as_bytes(picture, encoding, padding)
    spec = TensorSpec(*target_wh, scale=1.0)
    tensor = TorchTransform(CPU, exact=exact)(data, format, spec).tensor
    expected = torch.from_numpy(averaged_by_pil(picture, target_wh)).permute(2, 0, 1)[None]
    torch.testing.assert_close(
        tensor, expected.expand_as(tensor), rtol=0, atol=1e-2 if exact else 1.0
    )


def test_a_picture_and_its_half_look_more_alike_with_antialiasing() -> None:
    whole = np.asarray(cv2.GaussianBlur(random_picture(640, 480), (0, 0), 1.0), np.uint8)
    half = np.asarray(cv2.resize(whole, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)

    def difference(antialias: bool) -> float:
        spec = TensorSpec(160, 160, Fit.LETTERBOX_CENTER, antialias=antialias)
        return (prepare(whole, spec).tensor - prepare(half, spec).tensor).abs().mean().item()

    assert difference(antialias=True) < 0.3 * difference(antialias=False)
