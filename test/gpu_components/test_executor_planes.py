# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Control callbacks, parameter services and the reader do not wait for each other."""

from __future__ import annotations

import threading
import time
from typing import Any

from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from spinning import call
from spinning import child
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until

from gpu_components.cdr import parse_stamp_ns
from gpu_components.executor import PlaneExecutor


def parameters_of(name: str) -> tuple[Any, str, Any]:
    return GetParameters, f'/{name}/get_parameters', GetParameters.Request(names=['gain'])


def test_slow_callbacks_do_not_delay_other_nodes_parameters(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory
) -> None:
    """More slow callbacks than there are threads, as when a container configures all at once."""
    started: list[str] = []
    loaded = threading.Event()

    def load_a_model() -> None:
        started.append(threading.current_thread().name)
        loaded.wait(30.0)

    for index in range(5):
        slow = make_node(f'slow_{index}')
        slow.create_timer(0.01, load_a_model)
        executor.add_node(slow)
    quick = make_node('quick')
    quick.declare_parameter('gain', 1.0)
    executor.add_node(quick)
    asker = make_node('asker')
    other = SingleThreadedExecutor(context=context)
    other.add_node(asker)
    with spinning(other), spinning(executor):
        assert wait_until(lambda: len(started) >= 4)
        call(asker, *parameters_of('quick'))
        value = Parameter('gain', value=2.5).to_parameter_msg()
        request = SetParameters.Request(parameters=[value])
        call(asker, SetParameters, '/quick/set_parameters', request)
        assert len(started) <= 5  # the slow ones were still in their first callback
        loaded.set()
    assert quick.get_parameter('gain').value == 2.5


def test_parameters_answer_a_second_process(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    started: list[bool] = []
    loaded = threading.Event()
    slow, quick = make_node('busy'), make_node('quick')
    quick.declare_parameter('gain', 1.0)
    slow.create_timer(0.01, lambda: started.append(loaded.wait(30.0)))
    executor.add_node(slow)
    executor.add_node(quick)
    script = """
        import rclpy
        from rcl_interfaces.srv import GetParameters
        rclpy.init()
        node = rclpy.create_node('second_process')
        client = node.create_client(GetParameters, '/quick/get_parameters')
        assert client.wait_for_service(10.0)
        for _ in range(10):
            future = client.call_async(GetParameters.Request(names=['gain']))
            rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
            assert future.result().values[0].double_value == 1.0
    """
    with spinning(executor), child(script) as process:
        assert process.wait(30.0) == 0
        assert not started  # the slow callback has not come to its end
        loaded.set()


CAMERA = """
    import array, time, rclpy
    from sensor_msgs.msg import Image
    rclpy.init()
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, 'image', 150)
    message = Image(height=480, width=640, step=1920, encoding='rgb8')
    message.data = array.array('B', bytes(640 * 480 * 3))
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    time.sleep(0.5)
    due = time.monotonic()
    for number in range(150):
        message.header.stamp.sec = number
        publisher.publish(message)
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))
    publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=20.0))
"""


def test_pictures_at_50_hz_all_arrive_beside_eight_nodes(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    received: list[int] = []
    threads: set[str] = set()

    def on_image(message: memoryview) -> None:
        received.append(parse_stamp_ns(message) // 10**9)
        threads.add(threading.current_thread().name)

    ticks = [0] * 8
    for index in range(8):

        def tick(index: int = index) -> None:
            ticks[index] += 1

        node = make_node(f'component_{index}')
        node.create_timer(0.1, tick)
        executor.add_node(node)
    ingress = make_node('ingress')
    executor.add_node(ingress)
    executor.reader.create_subscription(ingress, Image, 'image', on_image, QoSProfile(depth=150))
    with spinning(executor), child(CAMERA) as camera:
        assert camera.wait(30.0) == 0
        # Queues as long as the test: what is missing was lost by the reader, not by a machine
        # that stood still for the length of a queue.
        assert wait_until(lambda: len(received) >= 150)
    assert received == list(range(150))  # each message once, in order
    assert threads == {'ingress'}
    assert min(ticks) >= 20


def test_slow_callbacks_do_not_delay_pictures(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    """As many as there are threads, one of them of the node that has the subscription."""
    held: list[str] = []
    release = threading.Event()

    def hold() -> None:
        held.append(threading.current_thread().name)
        release.wait(30.0)

    nodes = [make_node(name) for name in ('ingress', 'slow_1', 'slow_2', 'slow_3')]
    for node in nodes:
        node.create_timer(0.01, hold)
        executor.add_node(node)
    taken_s: list[float] = []
    executor.reader.create_subscription(
        nodes[0], Image, 'image', lambda _: taken_s.append(time.monotonic()), QoSProfile(depth=20)
    )
    publisher = make_node('camera').create_publisher(Image, 'image', 20)
    with spinning(executor):
        assert wait_until(lambda: len(set(held)) == 4)
        assert wait_until(lambda: publisher.get_subscription_count() == 1)
        sent_s = []
        for _ in range(20):
            sent_s.append(time.monotonic())
            publisher.publish(Image())
            time.sleep(0.02)
        assert wait_until(lambda: len(taken_s) == 20)
        assert len(held) == 4  # still in their first callback
        release.set()
    delays_s = sorted(taken - sent for taken, sent in zip(taken_s, sent_s, strict=True))
    assert delays_s[10] < 0.05


def test_idle_costs_nothing(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    """Eight nodes, and publishers that do not publish."""
    for index in range(8):
        executor.add_node(make_node(f'idle_{index}'))
    ingress, camera = make_node('ingress'), make_node('camera')
    executor.add_node(ingress)
    for topic in ('left', 'right', 'rear'):
        executor.reader.create_subscription(
            ingress, Image, topic, lambda _: None, QoSProfile(depth=1)
        )
        publisher = camera.create_publisher(Image, topic, 1)
        assert wait_until(lambda made=publisher: made.get_subscription_count() == 1)
    with spinning(executor):
        time.sleep(1.0)
        before = time.process_time()
        time.sleep(3.0)
        used = time.process_time() - before
    assert used / 3.0 <= 0.03
