# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a component asks of the ROS subscription that feeds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy


@dataclass(frozen=True)
class IngressNeed:
    """
    What one component asks of the subscription that feeds it.

    Parameters
    ----------
    reliable : bool
        Ask DDS for every message; else the newest, as sensor data.
    depth : int
        Messages DDS may hold.
    max_age_ms : callable
        Returns the age above which the component drops a frame; 0 for none.
    compressed : bool
        Take ``<topic>/compressed``; raw pictures win where others ask for them.

    """

    reliable: bool
    depth: int
    max_age_ms: Callable[[], float]
    compressed: bool = False


def merged_qos(needs: list[IngressNeed]) -> QoSProfile:
    """
    Return the one profile that serves all needs.

    Parameters
    ----------
    needs : list of IngressNeed
        At least one.

    Returns
    -------
    rclpy.qos.QoSProfile
        Keep-last with the largest depth; reliable if anybody asks for it.

    """
    reliable = any(need.reliable for need in needs)
    return QoSProfile(
        depth=max(need.depth for need in needs),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )
