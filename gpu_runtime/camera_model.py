# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of a camera, as sensor_msgs/CameraInfo defines it, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace


@dataclass(frozen=True)
class CameraModel:
    """
    A pinhole camera with distortion; matrices are row by row.

    Parameters
    ----------
    width : int
        Columns of the calibrated image, in pixels.
    height : int
        Rows of the calibrated image, in pixels.
    frame_id : str
        Optical frame: z forward, x right, y down (REP 103).
    distortion_model : str
        ``plumb_bob``, ``rational_polynomial``, ``equidistant``, or empty: not known.
    d : tuple of float
        Distortion coefficients in the order of the model; empty: not known.
    k : tuple of float
        Nine intrinsics of the raw image: fx 0 cx, 0 fy cy, 0 0 1, in pixels.
    r : tuple of float
        Nine entries of the rectifying rotation.
    p : tuple of float
        Twelve entries of the projection of the rectified image, in pixels.

    """

    width: int
    height: int
    frame_id: str = ''
    distortion_model: str = ''
    d: tuple[float, ...] = ()
    k: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    r: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    p: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @property
    def calibrated(self) -> bool:
        """Whether the intrinsics are known: CameraInfo has zeros otherwise."""
        return self.k[0] > 0.0 and self.k[4] > 0.0

    def scaled(self, width: int, height: int) -> CameraModel:
        """
        Return the model of the picture resized.

        Parameters
        ----------
        width : int
            New columns, in pixels.
        height : int
            New rows, in pixels.

        Returns
        -------
        CameraModel
            Centres follow the half-pixel rule of resizing, ``(c + 0.5) * s - 0.5``; distortion
            coefficients do not depend on the size.

        """
        sx, sy = width / self.width, height / self.height

        def moved(m: tuple[float, ...], columns: int) -> tuple[float, ...]:
            rows = [list(m[i : i + columns]) for i in range(0, len(m), columns)]
            rows[0] = [v * sx for v in rows[0]]
            rows[1] = [v * sy for v in rows[1]]
            rows[0][2] += (sx - 1.0) / 2.0
            rows[1][2] += (sy - 1.0) / 2.0
            return tuple(v for row in rows for v in row)

        return replace(self, width=width, height=height, k=moved(self.k, 3), p=moved(self.p, 4))

    def cropped(self, x: int, y: int, width: int, height: int) -> CameraModel:
        """
        Return the model of a part of the picture.

        Parameters
        ----------
        x : int
            Left column of the part, in pixels.
        y : int
            Upper row of the part, in pixels.
        width : int
            Columns of the part, in pixels.
        height : int
            Rows of the part, in pixels.

        Returns
        -------
        CameraModel
            The centre moves by the corner.

        """
        k, p = list(self.k), list(self.p)
        k[2], k[5] = k[2] - x, k[5] - y
        p[2], p[6] = p[2] - x, p[6] - y
        return replace(self, width=width, height=height, k=tuple(k), p=tuple(p))
