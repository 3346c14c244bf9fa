# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One compressed ROS image topic on the bus.

The reader's thread only queues what arrives; pictures are decoded on a thread of the topic's own,
so that decoding one camera does not delay the others.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sensor_msgs.msg import CompressedImage

from gpu_components.cdr import parse_compressed_header
from gpu_components.ingress_need import merged_qos
from gpu_components.topic_ingress import BAD_MESSAGE
from gpu_components.topic_ingress import TopicIngress
from gpu_runtime.header import Header
from gpu_runtime.overflow import Overflow
from gpu_runtime.picture_decoder import PictureDecoder
from gpu_runtime.subscription import Subscription

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.executor import SubscriptionReader
    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.gpu_context import GpuContext


class CompressedIngress(TopicIngress):
    """
    One ROS topic of compressed pictures, named ``<topic>/compressed`` as image_transport does.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the subscription.
    reader : SubscriptionReader
        Reads it.
    topic : str
        Fully qualified topic of the pictures, without ``/compressed``.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    compressed = True

    def __init__(
        self,
        node: Node,
        reader: SubscriptionReader,
        topic: str,
        needs: list[IngressNeed],
        context: GpuContext,
    ) -> None:
        super().__init__(node, reader, topic, needs, context)
        self._decoder = PictureDecoder(context, topic)
        self._queue: Subscription[tuple[float, bytes]] = Subscription(
            topic,
            f'decode {topic}',
            merged_qos(needs).depth,
            Overflow.DROP_OLDEST,
            self._channel.wanted,
            lambda: self._metrics.count('dropped_overflow'),
        )
        self._subscribe(CompressedImage, f'{topic}/compressed', self.receive)
        self._thread = threading.Thread(target=self._run, name=f'decode {topic}', daemon=True)
        self._thread.start()

    def receive(self, message: bytes | memoryview) -> None:
        """
        Queue one serialized message; does not block.

        Parameters
        ----------
        message : bytes or memoryview
            CDR of a sensor_msgs/CompressedImage, copied.  Bad content is counted and logged by
            the decoding thread.

        """
        self._metrics.count('received')
        if self._channel.wanted():
            self._queue.push((time.monotonic(), bytes(message)))
        else:
            self._metrics.count('unwanted')

    def _run(self) -> None:
        while (item := self._queue.take()) is not None:
            try:
                self._decode(*item)
            except BAD_MESSAGE as error:
                self._refuse(error)

    def _decode(self, received_s: float, message: bytes) -> None:
        readers = self._channel.wanting()
        if not readers:
            self._metrics.count('unwanted')
            return
        image = parse_compressed_header(message)
        if self._fresh(image.stamp_ns):
            frame = self._decoder.frame(
                Header(image.stamp_ns, image.frame_id),
                message[image.data_offset : image.data_offset + image.data_nbytes],
                received_s=received_s,
                metrics=self._metrics,
            )
            self._publish(frame, readers)

    def close(self) -> None:
        """Unsubscribe and end the thread; blocks until it has ended."""
        super().close()
        self._queue.close()
        self._thread.join()
        self._decoder.close()
