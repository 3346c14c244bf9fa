# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One raw ROS image topic on the bus: one subscription and one upload, whoever reads it.

Serialized messages come from the reader's thread; their payload is looked at only after
everything that could make it useless.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image

from gpu_components.cdr import parse_stamp_ns
from gpu_components.image_kind import ImageKind
from gpu_components.topic_ingress import BAD_MESSAGE
from gpu_components.topic_ingress import TopicIngress
from gpu_runtime.header import Header

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.executor import SubscriptionReader
    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.event import Event
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext


class ImageIngress(TopicIngress):
    """
    One ROS topic of sensor_msgs/Image.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the subscription.
    reader : SubscriptionReader
        Reads it.
    topic : str
        Fully qualified topic.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    def __init__(
        self,
        node: Node,
        reader: SubscriptionReader,
        topic: str,
        needs: list[IngressNeed],
        context: GpuContext,
    ) -> None:
        super().__init__(node, reader, topic, needs, context)
        self._last: ImageKind | None = None
        self._subscribe(Image, topic, self.receive)

    def receive(self, message: bytes | memoryview) -> Event | None:
        """
        Take one serialized message.

        Parameters
        ----------
        message : bytes or memoryview
            CDR of a sensor_msgs/Image, in page-locked memory where the device reads such.  Bad
            content is counted and logged, never raised.

        Returns
        -------
        Event or None
            The message is in use until it has passed; None if it is not.

        """
        received_s = time.monotonic()
        self._metrics.count('received')
        readers = self._channel.wanting()
        if not readers:
            self._metrics.count('unwanted')
            return None
        frame = None
        try:
            stamp_ns = parse_stamp_ns(message)
            if self._fresh(stamp_ns):
                frame = self._frame(message, stamp_ns, received_s)
                self._publish(frame, readers)
        except BAD_MESSAGE as error:
            self._refuse(error)
        return None if frame is None else frame.ready

    def _frame(self, message: bytes | memoryview, stamp_ns: int, received_s: float) -> Frame:
        kind = self._last
        if kind is None or not kind.matches(message):
            kind = self._last = ImageKind.of(message)
        return self._context.frame(
            Header(stamp_ns, kind.frame_id),
            kind.format,
            message,
            offset=kind.data_offset,
            pinned=True,
            received_s=received_s,
            metrics=self._metrics,
        )
