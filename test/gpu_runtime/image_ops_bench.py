# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, cameras and differences that the tests of the image operations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_ops import Picture

Pixels = npt.NDArray[np.uint8]
RGB: Pixels = np.ascontiguousarray(skimage.data.astronaut()[20:400, 30:510])
GREY: Pixels = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
NOISE: Pixels = np.random.default_rng(3).integers(0, 256, (61, 83, 3), dtype=np.uint8)
WIDTH, HEIGHT = 480, 380
# OpenCV 4 rounds positions to 1/32 px: 255 / 64 at the sharpest edge, in each direction.
REMAP_TOLERANCE = 1 if int(cv2.__version__.partition('.')[0]) >= 5 else 8
K = (400.0, 0.0, 238.0, 0.0, 405.0, 192.0, 0.0, 0.0, 1.0)
P = (360.0, 0.0, 241.0, 0.0, 0.0, 358.0, 188.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILT = tuple(cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0].reshape(-1).tolist())
LENSES = {
    'plumb_bob': (-0.28, 0.09, 0.001, -0.0007, -0.01),
    'rational_polynomial': (0.4, -0.2, 0.0005, -0.001, 0.02, 0.7, -0.15, 0.05),
    'equidistant': (-0.02, 0.008, -0.004, 0.0005),
}
Apply = Callable[..., Picture]


def read(
    context: GpuContext, pixels: Pixels, encoding: str = '', camera: CameraModel | None = None
) -> Picture:
    """Return pixels as a picture, rows padded as a driver may do."""
    encoding = encoding or ('mono8' if pixels.ndim == 2 else 'rgb8')
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, 5)), constant_values=0xAB)
    format = ImageFormat(width, height, encoding, rows.shape[1])
    frame = context.frame(Header(1, 'camera'), format, np.ascontiguousarray(rows))
    stream = context.streams.lease('test')
    try:
        with stream:
            return Picture.of(frame, stream, camera)
    finally:
        context.streams.release(stream)


def written(picture: Picture) -> Pixels:
    """Return a picture as OpenCV has it: (H, W) grey or (H, W, C)."""
    pixels = picture.pixels().numpy()
    assert pixels.nbytes == picture.format.nbytes
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def difference(picture: Picture, expected: Any) -> tuple[float, float]:
    """Return largest and mean difference, of 255."""
    got = written(picture)
    assert got.shape == expected.shape
    error = np.abs(got.astype(np.int64) - expected.astype(np.int64))
    return float(error.max()), float(error.mean())


def camera_of(lens: str = 'plumb_bob', *, r: Any = TILT, p: Any = P) -> CameraModel:
    """Return a camera that was calibrated at the size of the photograph."""
    return CameraModel(WIDTH, HEIGHT, 'camera', lens, LENSES[lens], K, r, p)


def matrix(values: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return nine or twelve entries as three rows."""
    return np.array(values).reshape(3, -1)
