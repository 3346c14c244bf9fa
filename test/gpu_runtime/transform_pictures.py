# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as bytes, and the transform of the CPU, for the tests of the image transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.pixel_kind import PixelKind
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
    picture: npt.NDArray[Any], encoding: str, padding: int = 0
) -> tuple[torch.Tensor, ImageFormat]:
    """
    Lay a picture out as a message would, rows padded with noise.

    (H, W, 3) RGB or (H, W, 1) grey for the encodings of these; else the rows as they are, those
    of chroma planes too.
    """
    height, width = picture.shape[:2]
    if picture.ndim == 3 and picture.shape[2] == 3 and encoding in TO_RGB:
        alpha = np.full((height, width, 1), 77, np.uint8)
        picture = np.concatenate((picture, alpha), axis=2)[:, :, TO_RGB[encoding]]
    pixels = np.ascontiguousarray(picture).reshape(height, -1).view(np.uint8)
    step = pixels.shape[1] + padding
    rows = np.random.default_rng(0).integers(0, 256, (height, step), dtype=np.uint8)
    rows[:, : step - padding] = pixels
    if ENCODINGS[encoding].kind is PixelKind.YUV420:
        height = height * 2 // 3
    format = ImageFormat(width, height, encoding, step)
    return torch.from_numpy(rows.reshape(-1).copy()), format


def noise_of(
    encoding: str, width: int, height: int, padding: int = 0
) -> tuple[torch.Tensor, ImageFormat]:
    """Return random numbers of an encoding, of the next size that it can have."""
    kind, itemsize = ENCODINGS[encoding].kind, ENCODINGS[encoding].itemsize
    columns, rows = kind.block_wh
    width, height = width + -width % columns, height + -height % rows
    if kind is PixelKind.BAYER:
        width, height = max(width, 3), max(height, 3)
    step = width * ENCODINGS[encoding].channels * itemsize + padding
    format = ImageFormat(width, height, encoding, step)
    rng = np.random.default_rng(width * 1000 + height)
    data = rng.integers(0, 256, (format.data_rows, step), dtype=np.uint8)
    if kind is PixelKind.DEPTH:
        depth = rng.uniform(0.5, 5.0, (height, width)).astype(np.float32)
        depth[rng.random(depth.shape) < 0.2] = 0.0
        if itemsize == 2:
            numbers = (depth * 1000).astype('<u2')
        else:
            numbers = depth.astype('<f4')
            numbers.flat[::7], numbers.flat[3::11] = np.nan, np.inf
        data[:, : step - padding] = numbers.view(np.uint8).reshape(height, -1)
    return torch.from_numpy(data.reshape(-1)), format


def channel_choices(encoding: str) -> tuple[str, ...]:
    """Return what a spec may read an encoding as."""
    depth = ENCODINGS[encoding].kind is PixelKind.DEPTH
    return ('depth',) if depth else ('rgb', 'bgr', 'mono')


def prepare(
    picture: npt.NDArray[Any], spec: TensorSpec, encoding: str = 'rgb8', padding: int = 0
) -> PreparedTensor:
    """Run the CPU transform on a picture."""
    data, format = as_bytes(picture, encoding, padding)
    return make_image_transform(CPU)(data, format, spec)
