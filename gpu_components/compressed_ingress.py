# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One compressed ROS image topic on the bus.

The ingress plane only queues what arrives; pictures are decoded on a thread of the topic's own,
so that decoding one camera does not delay the others.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from typing import TYPE_CHECKING

from sensor_msgs.msg import CompressedImage

from gpu_components.ingress_need import merged_qos
from gpu_components.serialized import NANOSECONDS
from gpu_components.topic_ingress import TopicIngress
from gpu_runtime.header import Header
from gpu_runtime.overflow import Overflow
from gpu_runtime.picture_decoder import PictureDecoder
from gpu_runtime.subscription import Subscription

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.gpu_context import GpuContext


class CompressedIngress(TopicIngress):
    """
    One ROS topic of compressed pictures, named ``<topic>/compressed`` as image_transport does.

    Parameters
    ----------
    node : rclpy.node.Node
        On the ingress plane.
    topic : str
        Fully qualified topic of the pictures, without ``/compressed``.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    compressed = True

    def __init__(
        self, node: Node, topic: str, needs: list[IngressNeed], context: GpuContext
    ) -> None:
        super().__init__(node, topic, needs, context)
        self._decoder = PictureDecoder(context, topic)
        self._queue: Subscription[tuple[float, Any]] = Subscription(
            topic,
            f'decode {topic}',
            merged_qos(needs).depth,
            Overflow.DROP_OLDEST,
            self._channel.wanted,
            lambda: self._metrics.count('dropped_overflow'),
        )
        self._subscribe(CompressedImage, f'{topic}/compressed', self.receive, raw=False)
        self._thread = threading.Thread(target=self._run, name=f'decode {topic}', daemon=True)
        self._thread.start()

    def receive(self, message: CompressedImage) -> None:
        """
        Queue one message; does not block.

        Parameters
        ----------
        message : sensor_msgs.msg.CompressedImage
            Bad content is counted and logged by the decoding thread.

        """
        self._metrics.count('received')
        if self._channel.wanted():
            self._queue.push((time.monotonic(), message))
        else:
            self._metrics.count('unwanted')

    def _run(self) -> None:
        while (item := self._queue.take()) is not None:
            received_s, message = item
            self._guarded(lambda: self._decode(message, received_s))  # noqa: B023

    def _decode(self, message: CompressedImage, received_s: float) -> None:
        stamp = message.header.stamp
        header = Header(stamp.sec * NANOSECONDS + stamp.nanosec, message.header.frame_id)
        self._pass_on(
            header.stamp_ns,
            lambda: self._decoder.frame(
                header, bytes(message.data), received_s=received_s, metrics=self._metrics
            ),
        )

    def close(self) -> None:
        """Unsubscribe and end the thread; blocks until it has ended."""
        super().close()
        self._queue.close()
        self._thread.join()
        self._decoder.close()
