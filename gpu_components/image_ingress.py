# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One raw ROS image topic on the bus: one subscription and one upload, whoever reads it.

Callbacks run on the ingress plane; they take serialized messages and look at the payload only
after everything that could make it useless.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image

from gpu_components.cdr import parse_image_header
from gpu_components.cdr import parse_stamp_ns
from gpu_components.topic_ingress import TopicIngress
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext


class ImageIngress(TopicIngress):
    """
    One ROS topic of sensor_msgs/Image.

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
        super().__init__(node, topic, needs, context)
        self._subscribe(Image, topic, self.receive, raw=True)

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
        if not self._channel.wanted():
            self._metrics.count('unwanted')
            return
        self._guarded(
            lambda: self._pass_on(
                parse_stamp_ns(message), lambda: self._frame(message, received_s)
            )
        )

    def _frame(self, message: bytes, received_s: float) -> Frame:
        image = parse_image_header(message)
        picture = ImageFormat(image.width, image.height, image.encoding, image.step)
        if image.is_bigendian and ENCODINGS[image.encoding].itemsize > 1:
            raise SpecMismatchError(
                f'image of {image.encoding} is big endian; expected is_bigendian 0 for pixels of '
                'more than one byte: swap the bytes at the publisher'
            )
        picture.require_nbytes(image.data_nbytes)
        return self._context.frame(
            Header(image.stamp_ns, image.frame_id),
            picture,
            message,
            offset=image.data_offset,
            received_s=received_s,
            metrics=self._metrics,
        )
