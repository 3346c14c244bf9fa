# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One ROS image topic on the bus: one subscription and one upload, whoever reads it.

Callbacks run on the ingress plane; they take serialized messages and look at the payload only
after everything that could make it useless.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import Image

from gpu_components.cdr import parse_image_header
from gpu_components.cdr import parse_stamp_ns
from gpu_components.ingress_need import merged_qos
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.gpu_context import GpuContext


class ImageIngress:
    """
    One ROS image topic on the bus.

    Parameters
    ----------
    node : rclpy.node.Node
        On the ingress plane.
    topic : str
        Fully qualified topic.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    def __init__(
        self, node: Node, topic: str, needs: list[IngressNeed], context: GpuContext
    ) -> None:
        self.needs = needs
        self._node = node
        self._topic = topic
        self._context = context
        self._channel = context.bus.channel(topic)
        self._metrics = context.metrics.stage(f'ingress {topic}')
        self._subscription = node.create_subscription(
            Image,
            topic,
            self.receive,
            merged_qos(needs),
            callback_group=MutuallyExclusiveCallbackGroup(),
            raw=True,
        )

    def serves(self, needs: list[IngressNeed]) -> bool:
        """
        Return whether this subscription can go on for other needs.

        Parameters
        ----------
        needs : list of IngressNeed
            Of everyone who reads the topic now.

        Returns
        -------
        bool
            False if nobody reads it any more, or another profile or transport is due.

        """
        return (
            bool(needs)
            and not all(need.compressed for need in needs)
            and merged_qos(needs) == merged_qos(self.needs)
        )

    def receive(self, message: bytes) -> None:
        """
        Take one serialized message.

        Parameters
        ----------
        message : bytes
            CDR of a sensor_msgs/Image.  Bad content is counted and logged, never raised.

        """
        received_s = time.monotonic()
        self._metrics.count('received')
        try:
            self._pass_on(message, received_s)
        except (GpuPerceptionError, RuntimeError) as error:
            self._context.notice(error)
            self._metrics.fail('invalid', str(error))
            self._node.get_logger().error(
                f'image on {self._topic} dropped: {error}', throttle_duration_sec=5.0
            )

    def _pass_on(self, message: bytes, received_s: float) -> None:
        if not self._channel.wanted():
            self._metrics.count('unwanted')
            return
        if self._stale(parse_stamp_ns(message)):
            self._metrics.count('dropped_stale')
            return
        image = parse_image_header(message)
        picture = ImageFormat(image.width, image.height, image.encoding, image.step)
        picture.require_nbytes(image.data_nbytes)
        header = Header(image.stamp_ns, image.frame_id)
        frame = self._context.frame(
            header,
            picture,
            message,
            offset=image.data_offset,
            received_s=received_s,
            metrics=self._metrics,
        )
        self._metrics.processed(header.stamp_ns)
        self._channel.publish(frame)

    def _stale(self, stamp_ns: int) -> bool:
        limits = [need.max_age_ms() for need in self.needs]
        if not all(limits):
            return False
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns
        return bool(age_ns * 1e-6 > max(limits))

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
        self._context.metrics.forget(f'ingress {self._topic}')
