# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Lens distortion removed: a picture as a pinhole camera would have taken it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from typing import ClassVar
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.image_ops.remap import pixel_grid
from gpu_runtime.image_ops.remap import RemapStep

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.image_ops.operation import Step
    from gpu_runtime.image_ops.picture import Picture

_Points = tuple[torch.Tensor, torch.Tensor]
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Rectify(Operation):
    """
    Remove the distortion of the lens, from ``camera_info``.

    Positions as ``cv2.initUndistortRectifyMap`` (plumb_bob, rational_polynomial) and
    ``cv2.fisheye.initUndistortRectifyMap`` (equidistant) give them: at most 0.001 px off.
    Pictures against ``cv2.remap`` of OpenCV 5 on 8-bit photographs: at most 1 of 255 off;
    OpenCV 4 rounds positions to 1/32 px, which makes up to 8 at sharp edges.
    """

    name: ClassVar[str] = 'rectify'

    def step(self, context: GpuContext) -> Step:
        """
        Return a step that keeps the map of each camera on the device.

        Parameters
        ----------
        context : GpuContext
            Where it will run.

        Returns
        -------
        Step
            Has nothing to close.

        """
        return RemapStep(_rectified)


def rectify_positions(picture: Picture, camera: CameraModel) -> torch.Tensor:
    """
    Return where in a distorted picture each pixel of the rectified one lies.

    Parameters
    ----------
    picture : Picture
        Gives size and device.
    camera : CameraModel
        Calibrated at this size.

    Returns
    -------
    torch.Tensor
        float64 (H, W, 2): x and y in pixels, pixel centres at integers.

    Raises
    ------
    SpecMismatchError
        If the distortion model is unknown, or has another number of coefficients.

    """
    distort = _distortion(camera)
    columns, rows = pixel_grid(picture)
    m = _inverse(_product(_projection(camera), camera.r))
    x, y, w = (m[i] * columns + m[i + 1] * rows + m[i + 2] for i in (0, 3, 6))
    x, y = distort(x / w, y / w)
    k = camera.k
    return torch.stack((k[0] * x + k[1] * y + k[2], k[3] * x + k[4] * y + k[5]), dim=2)


def _rectified(picture: Picture) -> tuple[torch.Tensor, CameraModel | None]:
    camera = picture.camera
    if camera is None or camera.k[0] == 0.0:
        got = 'none' if camera is None else 'one without intrinsics (K is zero)'
        raise SpecMismatchError(
            f'operations: rectify needs the calibration of a picture of {picture.width}x'
            f'{picture.height} px; got {got}: publish camera_info of this size, calibrated, and '
            'remap camera_info to it'
        )
    k = _projection(camera)
    p = camera.p if camera.p[0] else (*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0)
    pinhole = replace(camera, distortion_model='plumb_bob', d=(0.0,) * 5, k=k, r=_IDENTITY, p=p)
    return rectify_positions(picture, camera), pinhole


def _projection(camera: CameraModel) -> tuple[float, ...]:
    """Return the intrinsics of the rectified picture; drivers that do not rectify leave P zero."""
    p = camera.p
    return (*p[:3], *p[4:7], *p[8:11]) if p[0] else camera.k


def _distortion(camera: CameraModel) -> Callable[[torch.Tensor, torch.Tensor], _Points]:
    """Return the map from ideal to distorted normalised coordinates."""
    models = {
        'plumb_bob': (_polynomial, (4, 5)),
        'rational_polynomial': (_polynomial, (8, 12, 14)),
        'equidistant': (_equidistant, (4,)),
        'fisheye': (_equidistant, (4,)),
    }
    if camera.distortion_model not in models:
        raise SpecMismatchError(
            f'operations: rectify: distortion model {camera.distortion_model!r} is not known; '
            f'expected one of {", ".join(models)}: correct camera_info, or leave rectify out'
        )
    function, counts = models[camera.distortion_model]
    if len(camera.d) not in counts or any(camera.d[12:]):
        raise SpecMismatchError(
            f'operations: rectify: {camera.distortion_model} with the {len(camera.d)} '
            f'coefficients {camera.d}; expected {" or ".join(map(str, counts))}, without tilt: '
            'calibrate again'
        )
    return lambda x, y: function(x, y, camera.d)


def _polynomial(x: torch.Tensor, y: torch.Tensor, d: tuple[float, ...]) -> _Points:
    """
    Distort by Brown's model, with a denominator and a thin prism where they are given.

    Source: https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html, "Detailed Description".
    """
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = (*d, *(0.0,) * 12)[:12]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    xy = 2 * x * y
    return (
        x * radial + p1 * xy + p2 * (r2 + 2 * x * x) + r2 * (s1 + s2 * r2),
        y * radial + p1 * (r2 + 2 * y * y) + p2 * xy + r2 * (s3 + s4 * r2),
    )


def _equidistant(x: torch.Tensor, y: torch.Tensor, d: tuple[float, ...]) -> _Points:
    """
    Distort by the angle to the axis, for wide lenses.

    Source: https://docs.opencv.org/4.x/db/d58/group__calib3d__fisheye.html.
    """
    radius = torch.hypot(x, y)
    angle = torch.atan(radius)
    a2 = angle * angle
    bent = angle * (1 + a2 * (d[0] + a2 * (d[1] + a2 * (d[2] + a2 * d[3]))))
    scale = torch.where(radius > 0, bent / radius.clamp(min=1e-12), 1.0)
    return x * scale, y * scale


def _product(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    rows = (a[i : i + 3] for i in (0, 3, 6))
    return tuple(sum(row[i] * b[3 * i + j] for i in range(3)) for row in rows for j in range(3))


def _inverse(m: tuple[float, ...]) -> tuple[float, ...]:
    """Return the inverse of a 3 x 3 matrix, on the host: nothing is uploaded."""
    a, b, c, d, e, f, g, h, i = m
    adjugate = (
        *(e * i - f * h, c * h - b * i, b * f - c * e),
        *(f * g - d * i, a * i - c * g, c * d - a * f),
        *(d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * adjugate[0] + b * adjugate[3] + c * adjugate[6]
    if determinant == 0.0:
        raise SpecMismatchError(
            f'operations: rectify: P times R, {m}, has no inverse; expected the projection of a '
            'camera: correct camera_info'
        )
    return tuple(value / determinant for value in adjugate)
