# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration that comes with pictures: sensor_msgs/CameraInfo in and out."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from gpu_components.messages import header_message
from gpu_components.serialized import NANOSECONDS
from gpu_runtime.camera_model import CameraModel

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_runtime.header import Header

KEPT = 64
"""Calibrations kept by stamp: two seconds at 30 Hz."""


def camera_model(message: CameraInfo) -> CameraModel:
    """
    Return a message as a camera model.

    Parameters
    ----------
    message : sensor_msgs.msg.CameraInfo
        Binning and region of interest are not applied (REP 104: operational, not calibration).

    Returns
    -------
    CameraModel
        The same values.

    """
    return CameraModel(
        width=int(message.width),
        height=int(message.height),
        frame_id=message.header.frame_id,
        distortion_model=message.distortion_model,
        d=tuple(map(float, message.d)),
        k=tuple(map(float, message.k)),
        r=tuple(map(float, message.r)),
        p=tuple(map(float, message.p)),
    )


def camera_info_message(header: Header, model: CameraModel) -> CameraInfo:
    """
    Return a camera model as a message.

    Parameters
    ----------
    header : Header
        Of the picture it belongs to.
    model : CameraModel
        The calibration.

    Returns
    -------
    sensor_msgs.msg.CameraInfo
        With the picture's stamp and frame.

    """
    return CameraInfo(
        header=header_message(header),
        width=model.width,
        height=model.height,
        distortion_model=model.distortion_model,
        d=list(model.d),
        k=list(model.k),
        r=list(model.r),
        p=list(model.p),
    )


class CameraInfoInput:
    """
    The calibrations that a component has received.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the subscription, on the control plane.
    topic : str
        Relative name, remappable.

    """

    def __init__(self, node: Node, topic: str) -> None:
        self._node = node
        self._by_stamp: OrderedDict[int, CameraModel] = OrderedDict()
        self._subscription = node.create_subscription(
            CameraInfo,
            topic,
            self._receive,
            qos_profile_sensor_data,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def _receive(self, message: CameraInfo) -> None:
        stamp = message.header.stamp
        self._by_stamp[stamp.sec * NANOSECONDS + stamp.nanosec] = camera_model(message)
        while len(self._by_stamp) > KEPT:
            self._by_stamp.popitem(last=False)

    def at(self, stamp_ns: int) -> CameraModel | None:
        """
        Return the calibration of a picture.

        Parameters
        ----------
        stamp_ns : int
            The picture's stamp.

        Returns
        -------
        CameraModel or None
            With the same stamp, else the latest; None before the first.  Does not block.

        """
        exact = self._by_stamp.get(stamp_ns)
        if exact is not None:
            return exact
        return next(reversed(list(self._by_stamp.values())), None)

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
