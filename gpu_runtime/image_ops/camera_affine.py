# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A camera whose pixels were moved by an affine map of the image plane."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel

Affine = tuple[float, float, float, float, float, float]


def moved(camera: CameraModel, affine: Affine) -> CameraModel:
    """
    Return the model of a picture whose pixels were moved.

    The frame stays the source's, so a mirrored axis has a negative focal length, and a picture
    turned by anything but 180 degrees has entries off the diagonal: K and P project exactly, but
    programs that read only fx, fy, cx, cy cannot use them.  Distortion acts before K and does not
    change.

    Parameters
    ----------
    camera : CameraModel
        Of the picture before; width and height stay.
    affine : tuple of float
        ``new_x = a*x + b*y + c``, ``new_y = d*x + e*y + f`` in pixels, as a, b, c, d, e, f.

    Returns
    -------
    CameraModel
        With K and P multiplied from the left.

    """
    return replace(camera, k=_moved(camera.k, affine), p=_moved(camera.p, affine))


def _moved(matrix: tuple[float, ...], affine: Affine) -> tuple[float, ...]:
    columns = len(matrix) // 3
    x, y, w = (matrix[row * columns : (row + 1) * columns] for row in range(3))
    new = [
        affine[i] * x[j] + affine[i + 1] * y[j] + affine[i + 2] * w[j]
        for i in (0, 3)
        for j in range(columns)
    ]
    return (*new, *w)
