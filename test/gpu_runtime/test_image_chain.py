# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of operations, and networks as one of them."""

from __future__ import annotations

from pathlib import Path

import cv2
from image_ops_bench import Apply
from image_ops_bench import camera_of
from image_ops_bench import difference
from image_ops_bench import HEIGHT
from image_ops_bench import read
from image_ops_bench import RGB
from image_ops_bench import WIDTH
import numpy as np
import pytest
import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.image_ops import ImageChain
from gpu_runtime.image_ops import parse_operations
from gpu_runtime.image_ops.network import Network
from gpu_runtime.image_ops.network import NetworkStep


def test_chain_rounds_once(apply: Apply) -> None:
    """Dark by 4 and bright by 4 loses nothing, as 8 bits in between would."""
    dark = 'brightness_contrast contrast=0.25'
    assert difference(apply(RGB, dark, 'brightness_contrast contrast=4'), RGB)[0] == 0


def test_chain_does_not_touch_its_input(context: GpuContext) -> None:
    """Other stages share the planes that a chain reads."""
    chain = (
        *('rectify', 'resize width=300', 'crop x=5 y=5 width=200 height=190', 'flip'),
        *('rotate angle=90', 'rotate angle=5', 'gaussian_blur', 'median', 'sharpen'),
        *('gamma value=2', 'brightness_contrast brightness=9', 'equalize', 'clahe'),
        'convert encoding=bgra8',
    )
    picture = read(context, RGB, camera=camera_of())
    before = picture.planes.clone()
    result = ImageChain(parse_operations(chain), context)(picture)
    assert result.pixels().shape == (200, 190, 4)
    for operation in parse_operations(chain):
        operation.step(context)(picture).pixels()
    assert torch.equal(picture.planes, before)


class Doubled(torch.nn.Module):
    """An image-to-image network that inverts, twice as large."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the negative."""
        return torch.nn.functional.interpolate(1.0 - image, scale_factor=2, mode='nearest')


class Luma(torch.nn.Module):
    """An image-to-image network that gives grey."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return one channel."""
        return image.mean(dim=1, keepdim=True)


def exported(module: torch.nn.Module, path: Path, *shape: int) -> str:
    """Write a network as torch.export does."""
    torch.export.save(torch.export.export(module, (torch.zeros(shape),)), path)
    return str(path)


def test_model_runs_at_the_size_of_the_picture(apply: Apply, tmp_path: Path) -> None:
    """A network that enlarges gives a larger picture and a camera that fits it."""
    source = exported(Doubled(), tmp_path / 'double.pt2', 1, 3, HEIGHT, WIDTH)
    text = f'model source={source} width={WIDTH} height={HEIGHT}'
    result = apply(RGB, text, camera=camera_of())
    expected = 255 - RGB.repeat(2, axis=0).repeat(2, axis=1)
    assert difference(result, expected)[0] <= 1
    assert result.camera == camera_of().scaled(2 * WIDTH, 2 * HEIGHT)


def test_model_of_a_fixed_size_gives_the_pictures_size(apply: Apply, tmp_path: Path) -> None:
    """In is resized, out is resized back; grey out makes the picture grey."""
    source = exported(Luma(), tmp_path / 'luma.pt2', 1, 3, 96, 64)
    result = apply(RGB, f'model source={source} width=64 height=96', 'flip')
    assert (result.width, result.height, result.encoding) == (WIDTH, HEIGHT, 'mono8')
    small = cv2.resize(RGB, (64, 96)).mean(axis=2)
    expected = cv2.flip(cv2.resize(small, (WIDTH, HEIGHT)), 1)
    assert difference(result, np.rint(expected))[0] <= 2


def test_model_that_gives_no_picture(apply: Apply, tmp_path: Path) -> None:
    """Said when it runs, since only then it is known."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    source = exported(module, tmp_path / 'vector.pt2', 1, 3, 8, 8)
    with pytest.raises(ModelError, match=r'returned \(1, 3\); expected a picture'):
        apply(RGB, f'model source={source} width=8 height=8')


def test_chain_releases_networks_when_a_later_one_fails(
    context: GpuContext, tmp_path: Path
) -> None:
    """Nothing half built stays."""
    good = exported(Luma(), tmp_path / 'luma.pt2', 1, 3, 8, 8)
    texts = (f'model source={good} width=8 height=8', f'model source={tmp_path}/missing.onnx')
    with pytest.raises(ModelError, match='does not exist'):
        ImageChain(parse_operations(texts), context)


class Recorder:
    """A model that keeps what it was given, and answers beyond white and black."""

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return three times the picture less one."""
        self.given = image.clone()
        return (image * 3.0 - 1.0,)


@pytest.mark.parametrize('before', ['resize width=240 interpolation=cubic', 'sharpen amount=3'])
def test_a_network_sees_and_leaves_nothing_beyond_black_and_white(
    context: GpuContext, before: str
) -> None:
    """Cubic weights and sharpening overshoot at edges."""
    picture = ImageChain(parse_operations([before]), context)(read(context, RGB))
    assert float(picture.planes.max()) > 255.0
    (operation,) = parse_operations(['model source=any.onnx'])
    assert isinstance(operation, Network)
    model = Recorder()
    result = NetworkStep(model, operation, (3, 0, 0))(picture)  # type: ignore[arg-type]
    assert 0.0 <= float(model.given.min()) < float(model.given.max()) <= 1.0
    assert 0.0 <= float(result.planes.min()) < float(result.planes.max()) <= 255.0
