# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Time and frame of a source image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """
    Time and frame of the source image, as in std_msgs/Header.

    Parameters
    ----------
    stamp_ns : int
        Nanoseconds since the epoch of the source's clock.
    frame_id : str
        Coordinate frame of the camera's optical centre (REP 103).

    """

    stamp_ns: int
    frame_id: str
