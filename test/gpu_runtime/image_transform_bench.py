# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as bytes, and the transform of the CPU, for the tests of the image transform."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from gpu_runtime.image_format import ImageFormat
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms import PreparedTensor

Picture = npt.NDArray[np.uint8]
CPU = torch.device('cpu')
TO_RGB = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'rgba8': [0, 1, 2, 3], 'bgra8': [2, 1, 0, 3]}


def random_picture(width: int, height: int, channels: int = 3) -> Picture:
    """Return noise, the hardest picture for a resize."""
    rng = np.random.default_rng(width * 1000 + height)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def as_bytes(
    picture: Picture, encoding: str, padding: int = 0
) -> tuple[torch.Tensor, ImageFormat]:
    """Lay an (H, W, 3 or 1) RGB picture out as a message would, rows padded with noise."""
    height, width, channels = picture.shape
    if channels == 3 and encoding in TO_RGB:
        alpha = np.full((height, width, 1), 77, np.uint8)
        picture = np.concatenate((picture, alpha), axis=2)[:, :, TO_RGB[encoding]]
    step = picture.shape[2] * width + padding
    rows = np.random.default_rng(0).integers(0, 256, (height, step), dtype=np.uint8)
    rows[:, : step - padding] = picture.reshape(height, -1)
    format = ImageFormat(width, height, encoding, step)
    return torch.from_numpy(rows.reshape(-1).copy()), format


def prepare(
    picture: Picture, spec: TensorSpec, encoding: str = 'rgb8', padding: int = 0
) -> PreparedTensor:
    """Run the CPU transform on a picture."""
    data, format = as_bytes(picture, encoding, padding)
    return make_image_transform(CPU)(data, format, spec)
