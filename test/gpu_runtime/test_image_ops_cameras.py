# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Operations that move pixels against OpenCV's, and the cameras that follow them."""

from __future__ import annotations

from typing import Any

import cv2
from image_ops_bench import Apply
from image_ops_bench import camera_of
from image_ops_bench import difference
from image_ops_bench import HEIGHT
from image_ops_bench import K
from image_ops_bench import LENSES
from image_ops_bench import matrix
from image_ops_bench import P
from image_ops_bench import read
from image_ops_bench import REMAP_TOLERANCE
from image_ops_bench import RGB
from image_ops_bench import TILT
from image_ops_bench import WIDTH
from image_ops_bench import written
import numpy as np
import pytest

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.image_ops import OPERATIONS
from gpu_runtime.image_ops import Picture
from gpu_runtime.image_ops.rectify import rectify_positions


@pytest.mark.parametrize('angle', [17.0, -133.3])
def test_rotation_by_any_angle_as_opencv(apply: Apply, angle: float) -> None:
    """Within 1."""
    around = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    turn = cv2.getRotationMatrix2D(around, angle, 1.0)
    expected = cv2.warpAffine(RGB, turn, (WIDTH, HEIGHT))
    result = apply(RGB, f'rotate angle={angle}', camera=camera_of())
    largest, mean = difference(result, expected)
    print(f'rotate {angle}: at most {largest:g}, on average {mean:.3f} of 255')
    assert largest <= REMAP_TOLERANCE
    assert mean < 0.5
    assert result.camera is not None
    moved = np.vstack((turn, (0, 0, 1))) @ matrix(P)
    assert np.allclose(matrix(result.camera.p), moved)


def opencv_maps(camera: CameraModel) -> tuple[Any, Any]:
    """Return what OpenCV computes for a camera."""
    size = (camera.width, camera.height)
    k, d, r, p = matrix(camera.k), np.array(camera.d), matrix(camera.r), matrix(camera.p)[:, :3]
    if camera.distortion_model == 'equidistant':
        return cv2.fisheye.initUndistortRectifyMap(k, d, r, p, size, cv2.CV_32FC1)
    return cv2.initUndistortRectifyMap(k, d, r, p, size, cv2.CV_32FC1)


@pytest.mark.parametrize('lens', LENSES)
def test_rectify_as_opencv(context: GpuContext, apply: Apply, lens: str) -> None:
    """Positions within 0.001 px, pictures within 1."""
    camera = camera_of(lens)
    columns, rows = opencv_maps(camera)
    positions = rectify_positions(read(context, RGB), camera).numpy()
    assert np.abs(positions[:, :, 0] - columns).max() < 1e-3
    assert np.abs(positions[:, :, 1] - rows).max() < 1e-3
    result = apply(RGB, 'rectify', camera=camera)
    expected = cv2.remap(RGB, columns, rows, cv2.INTER_LINEAR)
    largest, mean = difference(result, expected)
    print(f'rectify {lens}: at most {largest:g}, on average {mean:.3f} of 255')
    assert np.abs(RGB.astype(int) - expected).mean() > 5  # there was something to rectify
    assert largest <= REMAP_TOLERANCE
    assert mean < 0.5
    assert result.camera is not None
    assert result.camera.distortion_model == 'plumb_bob'
    assert not any(result.camera.d)
    assert result.camera.p == P
    assert result.camera.k == (*P[:3], *P[4:7], *P[8:11])
    assert np.allclose(matrix(result.camera.r), np.eye(3))


def test_rectified_twice_is_rectified_once(apply: Apply) -> None:
    """The camera that comes with a rectified picture says that nothing is left to do."""
    once = apply(RGB, 'rectify', camera=camera_of('equidistant'))
    again = apply(written(once), 'rectify', camera=once.camera)
    assert difference(again, written(once))[0] <= 1


def test_rectify_without_projection_keeps_k(apply: Apply) -> None:
    """Monocular drivers that never rectify leave P zero."""
    camera = camera_of(p=(0.0,) * 12)
    result = apply(RGB, 'rectify', camera=camera)
    columns, rows = cv2.initUndistortRectifyMap(
        matrix(K), np.array(camera.d), matrix(TILT), matrix(K), (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    assert difference(result, cv2.remap(RGB, columns, rows, cv2.INTER_LINEAR))[1] < 0.5
    assert result.camera is not None
    assert result.camera.k == K
    assert result.camera.p[:3] == K[:3]


def test_rectify_maps_are_computed_once_per_camera(context: GpuContext) -> None:
    """Counted: a map per camera and size, kept while it is in use."""
    calls = []
    step = OPERATIONS['rectify']().step(context)
    positions = step._positions  # type: ignore[attr-defined]

    def counted(picture: Picture) -> Any:
        calls.append(picture.camera)
        return positions(picture)

    step._positions = counted  # type: ignore[attr-defined]
    one, other = camera_of(), camera_of('equidistant')
    for camera in (one, one, other, one, other):
        step(read(context, RGB, camera=camera))
    assert calls == [one, other]


@pytest.mark.parametrize(
    'text',
    [
        'resize width=240 height=95',
        'crop x=30 y=40 width=300 height=250',
        'flip',
        'flip axis=vertical',
        'flip axis=both',
        *(f'rotate angle={angle}' for angle in (0, 90, 180, 270, -90, 33)),
    ],
)
def test_camera_follows_the_picture(apply: Apply, text: str) -> None:
    """A point in space is projected onto the pixel that shows it: a white spot is followed."""
    point = np.array([0.11, 0.07, 1.0, 1.0])
    before = matrix(P) @ point
    x, y = before[:2] / before[2]
    spot = np.exp(
        -((np.arange(WIDTH) - x) ** 2)[None] / 18 - (np.arange(HEIGHT) - y)[:, None] ** 2 / 18
    )
    result = apply(np.rint(spot * 255).astype(np.uint8), text, camera=camera_of())
    camera, values = result.camera, written(result).astype(float)
    assert camera is not None
    assert (camera.width, camera.height) == (result.width, result.height)
    after = matrix(camera.p) @ point
    rows, columns = np.indices(values.shape)
    seen = np.array([(values * columns).sum(), (values * rows).sum()]) / values.sum()
    assert np.abs(after[:2] / after[2] - seen).max() < 0.05
    assert camera.d == camera_of().d
    assert camera.frame_id == 'camera'
    pixels_moved = matrix(camera.p)[:, :3] @ np.linalg.inv(matrix(P)[:, :3])
    assert np.allclose(matrix(camera.k), pixels_moved @ matrix(K))


def test_camera_of_another_size(context: GpuContext) -> None:
    """Binning keeps the aspect and scales; another aspect is no calibration of this picture."""
    binned = read(context, RGB[::2, ::2].copy(), camera=camera_of())
    assert binned.camera == camera_of().scaled(WIDTH // 2, HEIGHT // 2)
    assert read(context, RGB[:100].copy(), camera=camera_of()).camera is None
