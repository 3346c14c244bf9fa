# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Where a component's outputs go: ROS publishers, and channels on the bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from typing import NamedTuple
from typing import TYPE_CHECKING

from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from gpu_components.audience import Audience
from gpu_components.camera_topics import topic_of

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.output import Output
    from gpu_runtime.channel import Channel
    from gpu_runtime.frame_bus import FrameBus


_NOTHING: frozenset[str] = frozenset()
_UNASKED = (_NOTHING, ''), _NOTHING


class Wanted(NamedTuple):
    """
    The outputs of a component that anybody would use.

    Parameters
    ----------
    ros : frozenset of str
        Topics that are to be published in ROS.
    bus : frozenset of str
        Topics that components of the process read.

    """

    ros: frozenset[str] = _NOTHING
    bus: frozenset[str] = _NOTHING

    def any_of(self, topics: tuple[str, ...]) -> bool:
        """
        Return whether one of some topics is wanted.

        Parameters
        ----------
        topics : tuple of str
            Of single cameras.

        Returns
        -------
        bool
            True with one that is wanted in ROS or on the bus.

        """
        return not (self.ros.isdisjoint(topics) and self.bus.isdisjoint(topics))


class OutputPorts:
    """
    Publishers of one component, in ROS and on the bus.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the publishers.
    outputs : tuple of Output
        What the component declares.
    bus : FrameBus
        Gets the channels of outputs that are pictures.
    policy : callable
        Returns the present value of the parameter ``publish``.
    cameras : tuple of str
        Each has outputs of its own, but for the latched ones; ``('',)`` for a single camera.

    """

    def __init__(
        self,
        node: Node,
        outputs: tuple[Output, ...],
        bus: FrameBus[Any],
        policy: Callable[[], str],
        cameras: tuple[str, ...] = ('',),
    ) -> None:
        self._node = node
        self._bus = bus
        self._policy = policy
        latched = tuple(output for output in outputs if output.latched)
        others = tuple(output for output in outputs if not output.latched)
        self._latched = tuple(output.topic for output in latched)
        self._of_camera = {
            camera: tuple(topic_of(camera, output.topic) for output in others)
            for camera in cameras
        }
        self._of_topic = {
            output.topic: tuple(topic_of(camera, output.topic) for camera in cameras)
            for output in others
        }
        of_cameras = (
            replace(output, topic=topic)
            for output in others
            for topic in self._of_topic[output.topic]
        )
        every = (*latched, *of_cameras)
        self._publishers = {output.topic: self._publisher(output) for output in every}
        self._audience = Audience(self._publishers)
        self._in_ros_of = _UNASKED
        self._kinds_of = Wanted(), _NOTHING
        self._bus_topics = {
            output.topic: node.resolve_topic_name(output.topic) for output in every if output.bus
        }
        self._channels: dict[str, Channel[Any]] = {}

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

    def __getitem__(self, topic: str) -> Any:
        """Return the ROS publisher of an output."""
        return self._publishers[topic]

    def wants(self, topic: str) -> bool:
        """
        Return whether anybody would use an output now.

        Parameters
        ----------
        topic : str
            Name as the component declares it; with several cameras, that of any of them counts.

        Returns
        -------
        bool
            True with a subscriber in ROS (see :class:`Audience`) or on the bus, or with
            ``publish: always``.

        """
        return topic in self.kinds()

    def kinds(self) -> frozenset[str]:
        """
        Return the outputs that :meth:`wants` is true of, which are those to be computed.

        Returns
        -------
        frozenset of str
            Names as the component declares them; the same object while no topic comes or goes,
            be it of another camera.

        """
        wanted = self.wanted()
        asked, kinds = self._kinds_of
        if asked != wanted:
            found = wanted.ros.intersection(self._latched).union(
                kind for kind, topics in self._of_topic.items() if wanted.any_of(topics)
            )
            kinds = kinds if found == kinds else found
            self._kinds_of = wanted, kinds
        return kinds

    def wanted(self) -> Wanted:
        """
        Return all outputs that anybody would use now.

        Returns
        -------
        Wanted
            Topics of single cameras.  As long as nothing changes it has the same sets, so that to
            compare it with an earlier one takes no time.

        """
        bus = [topic for topic, channel in self._channels.items() if channel.wanted()]
        return Wanted(self._in_ros(), frozenset(bus) if bus else _NOTHING)

    def _in_ros(self) -> frozenset[str]:
        """Return the topics that are to be published in ROS now."""
        heard, policy = self._audience.heard(), self._policy()
        asked, topics = self._in_ros_of
        if asked != (heard, policy):  # at once, where they are the same objects
            if policy == 'auto':
                topics = heard.union(self._latched)
            else:
                topics = frozenset(self._publishers) if policy == 'always' else _NOTHING
            self._in_ros_of = (heard, policy), topics
        return topics

    def wants_bus(self, topic: str) -> bool:
        """
        Return whether a component in the process would use an output now.

        Parameters
        ----------
        topic : str
            Name of one camera's output.

        Returns
        -------
        bool
            False for what is not on the bus.

        """
        channel = self._channels.get(topic)
        return channel is not None and channel.wanted()

    def wants_ros(self, topic: str) -> bool:
        """
        Return whether an output is to be published in ROS now.

        Parameters
        ----------
        topic : str
            Name of one camera's output.

        Returns
        -------
        bool
            As the parameter ``publish`` says; a latched output waits for late subscribers.

        """
        return topic in self._in_ros()

    def wants_any(self, camera: str = '') -> bool:
        """
        Return whether any output is wanted now.

        Parameters
        ----------
        camera : str
            Whose outputs; those of the whole component count for every camera.

        Returns
        -------
        bool
            True if a frame of this camera is worth computing.

        """
        if self.wanted().any_of(self._of_camera[camera]):
            return True
        return not self._audience.heard().isdisjoint(self._latched)

    def put_on_bus(self, topic: str, item: Any) -> None:
        """
        Hand a picture, or what was found in one, to the components that read it.

        Parameters
        ----------
        topic : str
            Name as the component declares it; nothing happens if it is not on the bus.
        item : object
            By reference, with its ready event.

        """
        if topic in self._channels:
            self._channels[topic].publish(item)

    def advertise(self) -> None:
        """
        Become the producer of the bus outputs.

        Raises
        ------
        WiringError
            If another component in the process publishes one of the topics; none is taken then.

        """
        name = self._node.get_fully_qualified_name()
        try:
            for topic, resolved in self._bus_topics.items():
                self._channels[topic] = self._bus.advertise(resolved, name)
        except Exception:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Stop being the producer of the bus outputs."""
        for channel in self._channels.values():
            self._bus.withdraw(channel)
        self._channels = {}

    def close(self) -> None:
        """Destroy the publishers."""
        publishers, self._publishers = self._publishers, {}
        self._audience = Audience(self._publishers)
        self._in_ros_of = _UNASKED
        self._kinds_of = Wanted(), _NOTHING
        for publisher in publishers.values():
            self._node.destroy_publisher(publisher)
