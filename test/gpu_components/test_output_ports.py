# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs go where somebody wants them: to ROS as the policy says, to the bus by reference."""

from __future__ import annotations

import time
from typing import Any

from probe import Host
from probe import Listener
from probe import Probe
from probe import set_parameter
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until
from std_msgs.msg import String

from gpu_components.audience import REMEMBERED_S
from gpu_components.output import Output
from gpu_components.output_ports import OutputPorts
from gpu_runtime.errors import WiringError
from gpu_runtime.frame_bus import FrameBus

OUTPUTS = (
    Output('picture', Image, bus=True),
    Output('text', String),
    Output('label', String, latched=True),
)


class Ports:
    """Ports on a node, and the policy that a test sets."""

    def __init__(self, node: Node) -> None:
        self.policy = 'auto'
        self.bus: FrameBus[Any] = FrameBus()
        self.node = node
        self.ports = OutputPorts(node, OUTPUTS, self.bus, lambda: self.policy)


@pytest.fixture
def made(make_node: NodeFactory) -> Ports:
    """Make the ports of one node."""
    return Ports(make_node('source'))


def test_what_is_wanted_is_told_as_one_value(made: Ports) -> None:
    """By topic, for ROS and for the bus; a latched output waits for who comes late."""
    made.ports.advertise()
    before = made.ports.wanted()
    assert before == ({'label'}, set())
    again = made.ports.wanted()
    assert again.ros is before.ros and again.bus is before.bus
    asking = True
    read = made.bus.subscribe('/picture', 'reader', wanted=lambda: asking)
    assert made.ports.wanted() == ({'label'}, {'picture'})
    asking = False
    assert made.ports.wanted() == before
    made.policy = 'always'
    assert made.ports.wanted() == ({'label', 'picture', 'text'}, set())
    made.policy = 'never'
    assert made.ports.wanted() == (set(), set())
    made.policy = 'auto'
    assert made.ports.wanted() == before
    made.bus.unsubscribe(read)
    made.ports.withdraw()


def test_what_is_computed_is_the_same_for_whichever_camera_it_is(make_node: NodeFactory) -> None:
    """A graph captured for one reader holds when another one comes to the second camera."""
    bus: FrameBus[Any] = FrameBus()
    ports = OutputPorts(
        make_node('two'), OUTPUTS, bus, lambda: 'auto', cameras=('/left', '/right')
    )
    ports.advertise()
    nobody = ports.kinds()
    assert nobody == {'label'}
    reads = [bus.subscribe('/left/picture', 'first')]
    computed, sent = ports.kinds(), ports.wanted()
    assert computed == {'label', 'picture'}
    reads.append(bus.subscribe('/right/picture', 'second'))
    assert ports.kinds() is computed
    assert ports.wanted() != sent
    bus.unsubscribe(reads[0])
    assert ports.kinds() is computed
    bus.unsubscribe(reads[1])
    assert ports.kinds() == nobody
    ports.withdraw()


@pytest.mark.parametrize(
    ('policy', 'alone', 'subscribed'),
    [('auto', False, True), ('always', True, True), ('never', False, False)],
)
def test_ros_gets_what_the_policy_says(
    made: Ports, make_node: NodeFactory, policy: str, alone: bool, subscribed: bool
) -> None:
    """With and without a subscriber; each output by itself."""
    made.policy = policy
    assert made.ports.wants_ros('text') is alone
    assert made.ports.wants_any() is alone
    listener = make_node('listener')
    listener.create_subscription(String, 'text', lambda _: None, 10)
    assert wait_until(lambda: made.ports['text'].get_subscription_count() == 1)
    time.sleep(REMEMBERED_S)
    assert made.ports.wants_ros('text') is subscribed
    assert made.ports.wants('text') is subscribed
    assert made.ports.wants_any() is subscribed
    assert made.ports.wants_ros('picture') is alone


def test_a_reader_on_the_bus_counts_whatever_the_policy(made: Ports) -> None:
    """Only while the ports are advertised, and only if the reader would use a frame."""
    made.policy = 'never'
    wanted = [True]
    reader = made.bus.subscribe('/picture', 'reader', wanted=lambda: wanted[0])
    assert not made.ports.wants('picture')
    made.ports.advertise()
    assert made.ports.wants('picture') and made.ports.wants_any()
    assert not made.ports.wants_ros('picture')
    item = object()
    made.ports.put_on_bus('picture', item)
    assert reader.take(1.0) is item
    wanted[0] = False
    assert not made.ports.wants('picture')
    made.ports.withdraw()
    assert made.bus.channel('/picture').producer is None


def test_outputs_that_are_not_on_the_bus_stay_off_it(made: Ports) -> None:
    """Nothing happens to what is put there."""
    reader = made.bus.subscribe('/text', 'reader')
    made.ports.put_on_bus('picture', object())  # not advertised yet
    made.ports.advertise()
    made.ports.put_on_bus('text', object())
    assert reader.take(0.05) is None
    assert made.bus.channel('/text').producer is None


def test_a_topic_has_one_producer(made: Ports, context: Any) -> None:
    """The second is refused by name, and keeps none of its other topics."""
    made.ports.advertise()
    node = Node('second', context=context)
    outputs = (Output('other', Image, bus=True), OUTPUTS[0])
    ports = OutputPorts(node, outputs, made.bus, lambda: 'auto')
    with pytest.raises(WiringError, match='/second and /source both publish /picture'):
        ports.advertise()
    assert made.bus.channel('/other').producer is None
    assert made.bus.channel('/picture').producer == '/source'
    made.ports.withdraw()
    ports.advertise()
    assert made.bus.channel('/picture').producer == '/second'
    node.destroy_node()


def test_latched_outputs_reach_those_who_come_late(
    made: Ports, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """The others do not."""
    made.policy = 'always'
    made.ports['label'].publish(String(data='classes'))
    made.ports['text'].publish(String(data='gone'))
    late = make_node('late')
    durable = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    label = Listener(late, String, 'label', durable)
    text = Listener(late, String, 'text')
    spun.add_node(late)
    assert label.wait(1)[0].data == 'classes'
    assert wait_until(lambda: made.ports['text'].get_subscription_count() == 1)
    made.ports['text'].publish(String(data='fresh'))
    assert text.wait(1)[0].data == 'fresh'
    spun.remove_node(late)


def test_quality_of_service_can_be_overridden(context: Any) -> None:
    """By the standard parameters, per topic."""
    override = Parameter('qos_overrides./text.publisher.depth', value=3)
    node = Node('source', context=context, parameter_overrides=[override])
    ports = OutputPorts(node, OUTPUTS, FrameBus(), lambda: 'auto')
    assert ports['text'].qos_profile.depth == 3
    assert ports['picture'].qos_profile.depth == 10
    node.destroy_node()


def test_close_destroys_the_publishers(made: Ports) -> None:
    """And nothing is wanted any more."""
    made.policy = 'always'
    topics = {publisher.topic_name for publisher in made.node.publishers}
    assert {'/picture', '/text', '/label'} <= topics
    made.ports.close()
    topics = {publisher.topic_name for publisher in made.node.publishers}
    assert topics.isdisjoint({'/picture', '/text', '/label'})
    assert not made.ports.wants_any()


@pytest.mark.ros
def test_the_policy_of_an_active_component_can_change(
    host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor
) -> None:
    """From one frame to the next; with ``never`` readers on the bus still have theirs."""
    viewer = make_node('viewer')
    echo = Listener(viewer, Image, 'echo')
    spun.add_node(viewer)
    probe = host.load(Probe, publish='never', input_depth=10)
    assert wait_until(lambda: probe.count_subscribers('echo') == 1)
    host.push(1)
    reader = host.gpu.bus.subscribe('/echo', 'reader', depth=10)
    host.push(2)
    assert reader.take(5.0) is not None
    assert set_parameter(probe, 'publish', 'auto').successful
    host.push(3)
    (message,) = echo.wait(1)
    assert (message.header.stamp.nanosec, message.header.frame_id) == (3, 'camera_optical')
    assert (message.width, message.height, message.encoding) == (8, 6, 'bgr8')
    assert list(message.data) == [7] * 144
    assert probe.component.stamps() == [2, 3]
    spun.remove_node(viewer)
