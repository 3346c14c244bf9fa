# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The direction in which each pixel of a camera looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import SpecMismatchError

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel

_FISHEYE = ('equidistant', 'fisheye')
"""Two names of one model, which bends rays even with coefficients of 0."""

_UNDISTORT_STEPS = 20
"""Of the fixed-point iteration; OpenCV's undistortPoints takes 5 and stops at a residual."""

_NEWTON_STEPS = 10

_RESIDUAL = 1e-3
"""Largest error of a ray distorted again, one metre ahead: half a pixel at a focal length 500."""


class CameraRays:
    """
    Rays of one camera at a time, computed once per calibration.

    Parameters
    ----------
    device : torch.device
        Where the rays are.

    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last: tuple[object, torch.Tensor] | None = None

    def __call__(
        self, camera: CameraModel, stride: int = 1, *, rectified: bool = False
    ) -> torch.Tensor:
        """
        Return where the rays of every ``stride``-th pixel meet the plane one metre ahead.

        Parameters
        ----------
        camera : CameraModel
            Of the picture as it is.
        stride : int
            In both axes; the first row and column are always there.
        rectified : bool
            The picture is rectified: use P, not K and the distortion.

        Returns
        -------
        torch.Tensor
            float32 (2, ceil(height / stride), ceil(width / stride)): x right, y down, per metre
            of depth; pixel centres at integers, as CameraInfo has them.  NaN where the lens
            model has no inverse.  Owned by this object, to be read only.  Does not block.

        Raises
        ------
        SpecMismatchError
            If the camera is not calibrated, or its distortion model is not known.

        """
        key = (camera, stride, rectified)
        if self._last is None or self._last[0] != key:
            self._last = key, self._rays(camera, stride, rectified)
        return self._last[1]

    def _rays(self, camera: CameraModel, stride: int, rectified: bool) -> torch.Tensor:
        m = camera.p if rectified else camera.k
        fx, cx, fy, cy = (m[0], m[2], m[5], m[6]) if rectified else (m[0], m[2], m[4], m[5])
        if not (fx > 0.0 and fy > 0.0):
            raise SpecMismatchError(
                f'camera {camera.frame_id!r} has focal lengths {fx}, {fy} px in '
                f'{"p" if rectified else "k"}; expected positive ones: calibrate the camera'
            )
        options = {'dtype': torch.float64, 'device': self._device}
        u = torch.arange(0, camera.width, stride, **options)  # type: ignore[call-overload]
        v = torch.arange(0, camera.height, stride, **options)  # type: ignore[call-overload]
        y, x = torch.meshgrid((v - cy) / fy, (u - cx) / fx, indexing='ij')
        if not rectified and (any(camera.d) or camera.distortion_model in _FISHEYE):
            x, y = _undistorted(camera, x, y)
        return torch.stack((x, y)).to(torch.float32)


def _undistorted(
    camera: CameraModel, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    model, d = camera.distortion_model, camera.d
    if model in _FISHEYE and len(d) == 4:
        return _equidistant(d, x, y)
    if model in ('plumb_bob', 'rational_polynomial') and len(d) >= 4 and not any(d[8:]):
        return _polynomial((*d, 0.0, 0.0, 0.0, 0.0)[:8], x, y)
    raise SpecMismatchError(
        f'camera {camera.frame_id!r} has distortion {model!r} with {len(d)} coefficients; '
        'expected plumb_bob (5), rational_polynomial (8) or equidistant (4): rectify the picture '
        'first and set rectified'
    )


def _polynomial(
    d: tuple[float, ...], x0: torch.Tensor, y0: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Invert k1 k2 p1 p2 k3 k4 k5 k6.  Source: OpenCV, calib3d, undistortPoints."""
    k1, k2, p1, p2, k3, k4, k5, k6 = d

    def parts(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return (
            radial,
            2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )

    x, y = x0, y0
    for _ in range(_UNDISTORT_STEPS):
        radial, dx, dy = parts(x, y)
        x, y = (x0 - dx) / radial, (y0 - dy) / radial
    radial, dx, dy = parts(x, y)
    error = torch.hypot(x * radial + dx - x0, y * radial + dy - y0)
    solved = (error < _RESIDUAL) & (radial > 0)
    return torch.where(solved, x, torch.nan), torch.where(solved, y, torch.nan)


def _equidistant(
    d: tuple[float, ...], x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Invert r = θ + k1 θ³ + k2 θ⁵ + k3 θ⁷ + k4 θ⁹.  Source: OpenCV, calib3d, fisheye."""
    k1, k2, k3, k4 = d
    r = torch.hypot(x, y)
    angle = r.clamp(max=torch.pi / 2)
    for _ in range(_NEWTON_STEPS):
        a2 = angle * angle
        value = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))) - r
        slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
        angle = angle - value / slope
    a2 = angle * angle
    error = (angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))) - r).abs()
    # A ray at a right angle or beyond never meets the plane ahead.
    solved = (error < _RESIDUAL) & (angle >= 0) & (angle < torch.pi / 2)
    scale = torch.where(r > 0, torch.tan(angle) / r.clamp(min=1e-12), 1.0)
    scale = torch.where(solved, scale, torch.nan)
    return x * scale, y * scale
