# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The plane executor ends quickly, whole, and from anywhere."""

from __future__ import annotations

import gc
import signal
import threading
import time
import warnings

import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from spinning import child
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until

from gpu_components.executor import PlaneExecutor


def test_shutdown_under_load_is_quick_and_joins_threads(
    context: Context, make_node: NodeFactory
) -> None:
    executor = PlaneExecutor(context=context)
    received: list[float] = []
    for index in range(4):
        node = make_node(f'load_{index}')
        for _ in range(4):
            node.create_timer(
                0.001, lambda: time.sleep(0.05), callback_group=ReentrantCallbackGroup()
            )
        executor.add_node(node)
    executor.reader.create_subscription(
        make_node('ingress'),
        Image,
        'image',
        lambda _: received.append(time.monotonic()),
        QoSProfile(depth=1),
    )
    publisher = make_node('camera').create_publisher(Image, 'image', 1)
    picture = Image(data=bytes(1_000_000))
    stop = threading.Event()

    def play() -> None:
        while not stop.wait(0.002):
            publisher.publish(picture)

    player = threading.Thread(target=play, daemon=True)
    player.start()
    thread = threading.Thread(target=executor.spin)
    thread.start()
    assert wait_until(lambda: len(received) > 10)
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert executor.shutdown(2.0)
        gc.collect()
    ended = time.monotonic()
    assert ended - began < 2.0
    thread.join(1.0)
    assert not thread.is_alive()
    time.sleep(0.1)
    stop.set()
    player.join()
    assert max(received) <= ended
    names = {t.name for t in threading.enumerate()}
    assert not {name for name in names if name.startswith(('control', 'ingress'))}
    assert not [str(w.message) for w in caught if 'never awaited' in str(w.message)]


def test_shutdown_gives_up_on_a_callback_that_hangs(context: Context) -> None:
    executor = PlaneExecutor(context=context)
    release = threading.Event()
    executor.create_task(release.wait)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    assert not executor.shutdown(0.3)
    assert time.monotonic() - began < 5.0
    thread.join(1.0)
    assert not thread.is_alive()
    release.set()
    assert executor.shutdown(2.0)


def test_shutdown_from_a_callback(context: Context, make_node: NodeFactory) -> None:
    executor = PlaneExecutor(context=context)
    results: list[bool] = []
    executor.create_task(lambda: results.append(executor.shutdown(2.0)))
    thread = threading.Thread(target=executor.spin)
    thread.start()
    thread.join(3.0)
    assert not thread.is_alive()
    assert wait_until(lambda: results == [True])


def test_what_was_dropped_at_shutdown_runs_in_the_next_executor(
    context: Context, make_node: NodeFactory
) -> None:
    first = PlaneExecutor(control_threads=1, context=context)
    node = make_node('survivor')
    ticks: list[int] = []
    node.create_timer(
        0.01, lambda: ticks.append(1), callback_group=MutuallyExclusiveCallbackGroup()
    )
    node.create_timer(
        0.01, lambda: time.sleep(0.2), callback_group=MutuallyExclusiveCallbackGroup()
    )
    first.add_node(node)
    thread = threading.Thread(target=first.spin)
    thread.start()
    time.sleep(0.3)
    assert first.shutdown(2.0)
    thread.join()
    before = len(ticks)
    second = PlaneExecutor(context=context)
    second.add_node(node)
    with spinning(second):
        assert wait_until(lambda: len(ticks) > before + 3)


def test_context_shutdown_ends_spin_and_reader(
    executor: PlaneExecutor, context: Context, make_node: NodeFactory
) -> None:
    executor.reader.create_subscription(
        make_node('ingress'), Image, 'image', lambda _: None, QoSProfile(depth=1)
    )
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(0.2)
    context.shutdown()
    thread.join(2.0)
    assert not thread.is_alive()
    assert wait_until(lambda: 'ingress' not in {t.name for t in threading.enumerate()}, 1.0)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_process_cleanly(number: signal.Signals) -> None:
    script = """
        import threading, time
        import rclpy
        from rclpy.node import Node
        from sensor_msgs.msg import Image
        from gpu_components.executor import PlaneExecutor
        rclpy.init()
        executor = PlaneExecutor()
        node = Node('main')
        node.create_timer(0.01, lambda: None)
        node.create_timer(0.5, lambda: print('up', flush=True))
        executor.reader.create_subscription(node, Image, 'image', lambda m: None, 1)
        executor.add_node(node)
        executor.spin()
        reader = [t for t in threading.enumerate() if t.name == 'ingress']
        for thread in reader:  # ends without a word to the executor
            thread.join(1.0)
            assert not thread.is_alive()
        assert executor.shutdown(2.0)
        print('clean', time.monotonic(), flush=True)
    """
    with child(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'up\n'
        began = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=10.0)
    assert process.returncode == 0
    word, when = out.splitlines()[-1].split()
    assert word == 'clean'
    assert float(when) - began < 2.0  # the interpreter's own end is not the executor's
