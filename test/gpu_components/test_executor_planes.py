# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The planes of the executor do not wait for each other."""

from __future__ import annotations

import threading
import time
from typing import Any

from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
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


def test_ingress_receives_50_hz_images_beside_eight_nodes(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    received: list[int] = []
    threads: set[str] = set()

    def on_image(raw: bytes) -> None:
        received.append(parse_stamp_ns(raw) // 10**9)
        threads.add(threading.current_thread().name)

    ticks = [0] * 8
    for index in range(8):

        def tick(index: int = index) -> None:
            ticks[index] += 1

        node = make_node(f'component_{index}')
        node.create_timer(0.1, tick)
        executor.add_node(node)
    ingress = make_node('ingress')
    ingress.create_subscription(Image, 'image', on_image, 150, raw=True)
    assert executor.add_ingress_node(ingress)
    assert not executor.add_ingress_node(ingress)
    with spinning(executor), child(CAMERA) as camera:
        assert camera.wait(30.0) == 0
        # Queues as long as the test: what is missing was lost by the executor, not by a machine
        # that stood still for the length of a queue.
        assert wait_until(lambda: len(received) >= 150)
    assert received == list(range(150))  # each message once, in order
    assert threads == {'ingress'}
    assert min(ticks) >= 20


def test_ingress_serves_when_only_spun_once(
    executor: PlaneExecutor, make_node: NodeFactory
) -> None:
    """`rclpy.spin(node, executor)` and its like never call `spin`."""
    ticks: list[str] = []
    node = make_node('ingress')
    node.create_timer(0.01, lambda: ticks.append(threading.current_thread().name))
    executor.add_ingress_node(node)
    executor.spin_once(0.0)
    assert wait_until(lambda: len(ticks) >= 3)
    assert set(ticks) == {'ingress'}


def test_node_moves_between_planes(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    threads: list[str] = []
    node = make_node('mover')
    node.create_timer(0.01, lambda: threads.append(threading.current_thread().name))
    with spinning(executor):
        executor.add_node(node)
        assert wait_until(lambda: bool(threads))
        executor.add_ingress_node(node)
        assert executor.get_nodes() == []
        assert executor.get_ingress_nodes() == [node]
        assert wait_until(lambda: threads[-1] == 'ingress')
        executor.add_node(node)
        assert executor.get_ingress_nodes() == []
        assert wait_until(lambda: threads[-1].startswith('control'))
        executor.remove_node(node)
        time.sleep(0.1)
        before = len(threads)
        time.sleep(0.2)
        assert len(threads) == before


def test_idle_costs_nothing(executor: PlaneExecutor, make_node: NodeFactory) -> None:
    for index in range(7):
        executor.add_node(make_node(f'idle_{index}'))
    executor.add_ingress_node(make_node('idle_ingress'))
    with spinning(executor):
        time.sleep(1.0)
        before = time.process_time()
        time.sleep(3.0)
        used = time.process_time() - before
    assert used / 3.0 <= 0.03
