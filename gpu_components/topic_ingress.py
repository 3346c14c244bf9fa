# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What raw and compressed image topics have in common on their way onto the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from gpu_components.ingress_need import merged_qos
from gpu_runtime.errors import GpuPerceptionError

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext


class TopicIngress:
    """
    One ROS topic on the bus; a subclass subscribes and makes frames of its messages.

    Parameters
    ----------
    node : rclpy.node.Node
        On the ingress plane.
    topic : str
        Fully qualified topic of the pictures.
    needs : list of IngressNeed
        Of everyone who reads it.
    context : GpuContext
        Uploads, bus and metrics.

    """

    compressed: ClassVar[bool] = False

    def __init__(
        self, node: Node, topic: str, needs: list[IngressNeed], context: GpuContext
    ) -> None:
        self.needs = needs
        self._node = node
        self._topic = topic
        self._context = context
        self._channel = context.bus.channel(topic)
        self._metrics = context.metrics.stage(f'ingress {topic}')

    def _subscribe(self, kind: type[Any], topic: str, receive: Any, *, raw: bool) -> None:
        self._subscription = self._node.create_subscription(
            kind,
            topic,
            receive,
            merged_qos(self.needs),
            callback_group=MutuallyExclusiveCallbackGroup(),
            raw=raw,
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

    def _stale(self, stamp_ns: int) -> bool:
        """Return whether a picture is too old for everyone who reads the topic."""
        limits = [need.max_age_ms() for need in self.needs]
        if not all(limits):
            return False
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns
        return bool(age_ns * 1e-6 > max(limits))

    def _pass_on(self, stamp_ns: int, make: Callable[[], Frame]) -> None:
        """Publish the frame of a message, unless nobody wants it any more."""
        if not self._channel.wanted():
            self._metrics.count('unwanted')
        elif self._stale(stamp_ns):
            self._metrics.count('dropped_stale')
        else:
            frame = make()
            self._metrics.processed(frame.header.stamp_ns)
            self._channel.publish(frame)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run one message's work; bad content is counted and logged, never raised."""
        try:
            work()
        except (GpuPerceptionError, RuntimeError) as error:
            self._context.notice(error)
            self._metrics.fail('invalid', str(error))
            self._node.get_logger().error(
                f'image on {self._subscription.topic_name} dropped: {error}',
                throttle_duration_sec=5.0,
            )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
        self._context.metrics.forget(f'ingress {self._topic}')
