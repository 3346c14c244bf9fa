# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The picture that networks are prepared and compared with."""

from __future__ import annotations

import pytest
import torch

from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import example_tensor

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    'spec',
    [
        TensorSpec(320, 192),
        TensorSpec(320, 192, layout=Layout.NHWC, dtype=torch.float16),
        TensorSpec(0, 0, multiple=32, scale=1.0),
        TensorSpec(30, 20, channels='mono', mean=(0.0,), std=(1.0,)),
    ],
)
def test_it_has_the_shape_type_and_range_of_a_picture(spec: TensorSpec) -> None:
    tensor = example_tensor(spec, 101, 77, CPU)
    assert tuple(tensor.shape) == spec.shape(101, 77)
    assert tensor.dtype == spec.dtype
    assert tensor.is_contiguous()
    low, high = float(tensor.min()), float(tensor.max())
    assert 0.0 <= low < 0.15 * 255 * spec.scale
    assert 0.85 * 255 * spec.scale < high <= 255 * spec.scale + 1e-3


def test_it_is_normalised_like_a_picture_and_the_same_each_time() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    plain = example_tensor(TensorSpec(64, 48), 64, 48, CPU, batch=3)
    scaled = example_tensor(TensorSpec(64, 48, mean=mean, std=std), 64, 48, CPU, batch=3)
    expected = (plain - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    torch.testing.assert_close(scaled, expected)
    assert plain.shape[0] == 3
    assert not torch.equal(plain[0], plain[1])
    before = torch.random.get_rng_state()
    assert torch.equal(plain, example_tensor(TensorSpec(64, 48), 64, 48, CPU, batch=3))
    assert torch.equal(before, torch.random.get_rng_state())
