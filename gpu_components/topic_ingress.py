# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What raw and compressed image topics have in common on their way onto the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING

from gpu_components.ingress_need import merged_qos
from gpu_runtime.errors import GpuPerceptionError

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.executor import SubscriptionReader
    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.event import Event
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.subscription import Subscription

BAD_MESSAGE = (GpuPerceptionError, RuntimeError)
"""What the work for a message may raise: counted and logged by :meth:`TopicIngress._refuse`."""


class TopicIngress:
    """
    One ROS topic on the bus; a subclass subscribes and makes frames of its messages.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the subscription.
    reader : SubscriptionReader
        Reads it.
    topic : str
        Fully qualified topic of the pictures.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    compressed: ClassVar[bool] = False

    def __init__(
        self,
        node: Node,
        reader: SubscriptionReader,
        topic: str,
        needs: list[IngressNeed],
        context: GpuContext,
    ) -> None:
        self.needs = needs
        self._node = node
        self._reader = reader
        self._topic = topic
        self._context = context
        self._channel = context.bus.channel(topic)
        self._metrics = context.metrics.stage(f'ingress {topic}')

    def _subscribe(
        self, kind: type[Any], topic: str, receive: Callable[[memoryview], Event | None]
    ) -> None:
        self._subscription = self._reader.create_subscription(
            self._node, kind, topic, receive, merged_qos(self.needs), self._context.pinned
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
            and all(need.compressed for need in needs) == self.compressed
            and merged_qos(needs) == merged_qos(self.needs)
        )

    def _fresh(self, stamp_ns: int) -> bool:
        """Return whether anyone who reads the topic takes a picture of that age, else count it."""
        limits = [need.max_age_ms() for need in self.needs]
        if not all(limits):
            return True
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns
        if age_ns * 1e-6 <= max(limits):
            return True
        self._metrics.count('dropped_stale')
        return False

    def _publish(self, frame: Frame, readers: tuple[Subscription[Any], ...]) -> None:
        self._metrics.processed(frame.header.stamp_ns)
        self._channel.publish(frame, readers)

    def _refuse(self, error: Exception) -> None:
        """Count and log a message that cost itself."""
        self._context.notice(error)
        self._metrics.fail('invalid', str(error))
        self._node.get_logger().error(
            f'image on {self._topic} dropped: {error}', throttle_duration_sec=5.0
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._reader.destroy_subscription(self._node, self._subscription)
        self._context.metrics.forget(f'ingress {self._topic}')
