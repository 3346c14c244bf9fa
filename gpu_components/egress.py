# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The way out of a component: device results to ROS messages, off the stage's thread.

The stage calls :meth:`Egress.submit`, which enqueues the copies and returns; one egress thread
per component waits for their event, builds the message and publishes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import queue
import threading
import time
from typing import Any
from typing import TYPE_CHECKING

from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from gpu_components.component import Output
from gpu_components.component import Result
from gpu_components.messages import image_message
from gpu_runtime.frame import Frame

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.component import Results
    from gpu_runtime.frame_bus import Channel
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.metrics import StageMetrics
    from gpu_runtime.stream import Event
    from gpu_runtime.stream import Stream
    from gpu_runtime.transfers import Download

IN_FLIGHT = 2
"""Frames of one component that may be on the device at once; the stage waits for a place."""


@dataclass(frozen=True)
class _Pending:
    """One frame's results on their way."""

    frame: Frame
    downloads: tuple[tuple[Any, Callable[..., Any], Download], ...]
    started: Event
    done: Event


class Egress:
    """
    Publishers of one component and the thread that feeds them.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the publishers.
    outputs : tuple of Output
        What the component declares.
    context : GpuContext
        Source of downloads and bus channels.
    metrics : StageMetrics
        Of the component.
    policy : callable
        Returns the present value of the parameter ``publish``.

    """

    def __init__(
        self,
        node: Node,
        outputs: tuple[Output, ...],
        context: GpuContext,
        metrics: StageMetrics,
        policy: Callable[[], str],
    ) -> None:
        self._node = node
        self._context = context
        self._metrics = metrics
        self._policy = policy
        self._publishers = {output.topic: self._publisher(output) for output in outputs}
        self._bus_topics = {
            output.topic: node.resolve_topic_name(output.topic) for output in outputs if output.bus
        }
        self._channels: dict[str, Channel[Any]] = {}
        self._queue: queue.Queue[_Pending | None] = queue.Queue(IN_FLIGHT)
        self._thread: threading.Thread | None = None

    def _publisher(self, output: Output) -> Any:
        qos = QoSProfile(depth=10)
        if output.latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        return self._node.create_publisher(
            output.msg_type,
            output.topic,
            qos,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def wants(self, topic: str) -> bool:
        """
        Return whether anybody would use an output now.

        Parameters
        ----------
        topic : str
            Name as the component declares it.

        Returns
        -------
        bool
            True with a subscriber in ROS or on the bus, or with ``publish: always``.

        """
        return self._wants_ros(topic) or (
            topic in self._channels and self._channels[topic].wanted()
        )

    def _wants_ros(self, topic: str) -> bool:
        policy = self._policy()
        if policy == 'auto':
            return bool(self._publishers[topic].get_subscription_count() > 0)
        return policy == 'always'

    def wants_any(self) -> bool:
        """Return whether any output is wanted now."""
        return any(self.wants(topic) for topic in self._publishers)

    def start(self) -> None:
        """
        Advertise the bus outputs and start the thread.

        Raises
        ------
        WiringError
            If another component in the process publishes one of the topics.

        """
        name = self._node.get_fully_qualified_name()
        try:
            for topic, resolved in self._bus_topics.items():
                self._channels[topic] = self._context.bus.advertise(resolved, name)
        except Exception:
            self._withdraw()
            raise
        self._thread = threading.Thread(target=self._run, name=f'egress {name}', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Publish what is in flight, stop the thread and withdraw from the bus.  Blocks."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._withdraw()

    def _withdraw(self) -> None:
        for channel in self._channels.values():
            self._context.bus.withdraw(channel)
        self._channels = {}

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def submit(self, frame: Frame, results: Results, stream: Stream, started: Event) -> None:
        """
        Hand over one frame's results.

        Parameters
        ----------
        frame : Frame
            The input; its header goes onto every message.
        results : Mapping
            As returned by ``compute``.
        stream : Stream
            On which they are being computed.
        started : Event
            Recorded before the computation.

        Blocks only while :data:`IN_FLIGHT` earlier frames are still on the device.

        """
        downloads = []
        for topic, result in results.items():
            if isinstance(result, Frame):
                self._submit_frame(topic, result)
            if not self._wants_ros(topic):
                continue
            tensors, build = _to_ros(result, stream)
            download = self._context.transfers.download(tensors, stream)
            downloads.append((self._publishers[topic], build, download))
        done = stream.record(timing=True)
        self._queue.put(_Pending(frame, tuple(downloads), started, done))

    def _submit_frame(self, topic: str, frame: Frame) -> None:
        if topic in self._channels:
            self._channels[topic].publish(frame)

    def _run(self) -> None:
        while (pending := self._queue.get()) is not None:
            try:
                self._publish(pending)
            except Exception as error:
                self._context.notice(error)
                self._metrics.fail('egress', f'publishing failed: {error}')
                self._node.get_logger().error(
                    f'publishing failed: {error!r}', throttle_duration_sec=5.0
                )

    def _publish(self, pending: _Pending) -> None:
        pending.done.wait_host()
        self._metrics.observe('device', pending.done.seconds_since(pending.started))
        for publisher, build, download in pending.downloads:
            try:
                publisher.publish(build(pending.frame.header, *download.arrays))
            finally:
                download.release()
        self._metrics.count('processed')
        self._metrics.observe('latency', time.monotonic() - pending.frame.received_s)


def _to_ros(result: Result | Frame, stream: Stream) -> tuple[Any, Callable[..., Any]]:
    """Return the tensors to download and the builder of their message."""
    if isinstance(result, Result):
        return result.tensors, result.build

    def build(_header: Any, data: Any) -> Image:
        return image_message(result.header, result.format, data)

    return (result.use(stream),), build
