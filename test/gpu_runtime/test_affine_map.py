# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes find their way back from the tensor to the picture."""

from __future__ import annotations

import itertools

import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.affine_map import boxes_to_source
from gpu_runtime.fit import Fit
from gpu_runtime.tensor_spec import TensorSpec


def returned(boxes: torch.Tensor, place: AffineMap) -> torch.Tensor:
    """Map boxes back."""
    return boxes_to_source(boxes, torch.tensor(place.numbers))


def test_stretch_scales_each_axis_on_its_own() -> None:
    fitted = AffineMap.fit(TensorSpec(320, 320), 640, 480)
    assert (fitted.scale_x, fitted.offset_x, fitted.offset_y) == (0.5, 0.0, 0.0)
    assert fitted.scale_y == pytest.approx(2 / 3)
    assert fitted.inner_wh == (320, 320)
    assert fitted.source_wh == (640, 480)


def test_letterbox_keeps_the_aspect_and_places_the_picture() -> None:
    centred = AffineMap.fit(TensorSpec(416, 416, Fit.LETTERBOX_CENTER), 640, 480)
    assert (centred.scale_x, centred.scale_y) == (0.65, 0.65)
    assert (centred.offset_x, centred.offset_y) == (0.0, 52.0)
    cornered = AffineMap.fit(TensorSpec(416, 416, Fit.LETTERBOX_TOP_LEFT), 640, 480)
    assert (cornered.offset_x, cornered.offset_y) == (0.0, 0.0)
    assert centred.inner_wh == cornered.inner_wh == (416, 312)


def test_a_size_of_zero_keeps_the_picture() -> None:
    fitted = AffineMap.fit(TensorSpec(0, 0, multiple=32), 33, 19)
    assert (fitted.scale_x, fitted.scale_y, fitted.inner_wh) == (1.0, 1.0, (33, 19))


@pytest.mark.parametrize('fit', Fit)
def test_extreme_pictures_keep_at_least_a_pixel(fit: Fit) -> None:
    for width, height in ((1, 3000), (3000, 1), (1, 1)):
        fitted = AffineMap.fit(TensorSpec(40, 40, fit), width, height)
        inner_w, inner_h = fitted.inner_wh
        assert 1 <= inner_w <= 40
        assert 1 <= inner_h <= 40


def test_inner_size_is_what_was_fitted_for_every_ratio() -> None:
    for fit, width, height in itertools.product(Fit, (7, 33, 1281, 1920), (5, 19, 719, 1080)):
        fitted = AffineMap.fit(TensorSpec(416, 320, fit), width, height)
        inner_w, inner_h = fitted.inner_wh
        assert fitted.scale_x == inner_w / width
        assert fitted.scale_y == inner_h / height
        assert fitted.offset_x + inner_w <= 416
        assert fitted.offset_y + inner_h <= 320


@pytest.mark.parametrize('fit', Fit)
def test_boxes_return_to_the_source(fit: Fit) -> None:
    fitted = AffineMap.fit(TensorSpec(416, 320, fit), 1281, 719)
    source = torch.tensor([[0.0, 0.0, 1281.0, 719.0], [100.5, 20.25, 300.0, 400.0]])
    scale = torch.tensor([fitted.scale_x, fitted.scale_y] * 2)
    offset = torch.tensor([fitted.offset_x, fitted.offset_y] * 2)
    torch.testing.assert_close(
        returned(source * scale + offset, fitted), source, rtol=1e-5, atol=1e-3
    )


def test_boxes_are_clipped_to_the_picture() -> None:
    fitted = AffineMap.fit(TensorSpec(416, 416, Fit.LETTERBOX_CENTER), 640, 480)
    boxes = returned(torch.tensor([[-50.0, 0.0, 500.0, 416.0]]), fitted)
    assert boxes.tolist() == [[0.0, 0.0, 640.0, 480.0]]


def test_no_boxes_and_half_precision() -> None:
    fitted = AffineMap.fit(TensorSpec(64, 64), 128, 128)
    assert returned(torch.zeros((0, 4)), fitted).shape == (0, 4)
    halves = returned(torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float16), fitted)
    assert halves.tolist() == [[2.0, 4.0, 6.0, 8.0]]
