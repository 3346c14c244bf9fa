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

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CompressedImage

from gpu_components.ingress_need import merged_qos
from gpu_components.messages import NANOSECONDS
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.header import Header
from gpu_runtime.overflow import Overflow
from gpu_runtime.picture_decoder import PictureDecoder
from gpu_runtime.subscription import Subscription

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.gpu_context import GpuContext


class CompressedIngress:
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

    def __init__(
        self, node: Node, topic: str, needs: list[IngressNeed], context: GpuContext
    ) -> None:
        self.needs = needs
        self._node = node
        self._topic = topic
        self._context = context
        self._channel = context.bus.channel(topic)
        self._metrics = context.metrics.stage(f'ingress {topic}')
        self._decoder = PictureDecoder(context, topic)
        qos = merged_qos(needs)
        self._queue: Subscription[tuple[float, Any]] = Subscription(
            topic,
            f'decode {topic}',
            qos.depth,
            Overflow.DROP_OLDEST,
            self._channel.wanted,
            lambda: self._metrics.count('dropped_overflow'),
        )
        self._thread = threading.Thread(target=self._run, name=f'decode {topic}', daemon=True)
        self._thread.start()
        self._subscription = node.create_subscription(
            CompressedImage,
            f'{topic}/compressed',
            self.receive,
            qos,
            callback_group=MutuallyExclusiveCallbackGroup(),
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
            and all(need.compressed for need in needs)
            and merged_qos(needs) == merged_qos(self.needs)
        )

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
            try:
                self._pass_on(*item)
            except (GpuPerceptionError, RuntimeError) as error:
                self._context.notice(error)
                self._metrics.fail('invalid', str(error))
                self._node.get_logger().error(
                    f'image on {self._topic}/compressed dropped: {error}',
                    throttle_duration_sec=5.0,
                )

    def _pass_on(self, received_s: float, message: CompressedImage) -> None:
        stamp = message.header.stamp
        header = Header(stamp.sec * NANOSECONDS + stamp.nanosec, message.header.frame_id)
        frame = self._decoder.frame(
            header, bytes(message.data), received_s=received_s, metrics=self._metrics
        )
        self._metrics.processed(header.stamp_ns)
        self._channel.publish(frame)

    def close(self) -> None:
        """Unsubscribe and end the thread; blocks until it has ended."""
        self._node.destroy_subscription(self._subscription)
        self._queue.close()
        self._thread.join()
        self._decoder.close()
        self._context.metrics.forget(f'ingress {self._topic}')
