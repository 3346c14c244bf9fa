# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The reader hands over what was sent, in turn, and lives through changes, faults and shutdown."""

from __future__ import annotations

from collections.abc import Iterator
import signal
import sys
import threading
import time
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from spinning import child
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until

from gpu_components.executor import PlaneExecutor
from gpu_components.executor import SubscriptionReader
from gpu_components.rcl import MessageMemory

Errors = list[tuple[BaseException, object | None, Node | None]]
QOS = QoSProfile(depth=20)


@pytest.fixture
def reader(context: Context, errors: Errors) -> Iterator[SubscriptionReader]:
    """Make a reader that has ended when the test has."""
    reader = SubscriptionReader(lambda *args: errors.append((args[0], args[1], args[2])), context)
    yield reader
    assert reader.shutdown(10.0)


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """Make the node that subscribes."""
    return make_node('ingress')


def image(value: int, nbytes: int = 8) -> Image:
    """Return a message told by its width."""
    message = Image(width=value)
    message.data = bytes([value % 256]) * nbytes
    return message


def width(message: memoryview) -> int:
    """Return what tells messages apart; stamp and frame_id are empty."""
    return int.from_bytes(message[24:28], 'little')


def publisher_of(node: Node, topic: str = 'image', readers: int = 1) -> Any:
    """Return a publisher that has found its readers."""
    publisher = node.create_publisher(Image, topic, QOS)
    assert wait_until(lambda: publisher.get_subscription_count() == readers)
    return publisher


def names() -> set[str]:
    """Return the names of all threads."""
    return {thread.name for thread in threading.enumerate()}


# Messages ----------------------------------------------------------------------------------


def test_bytes_arrive_as_sent(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """Larger and smaller than the one before, in order, read-only."""
    received: list[bytes] = []
    kinds: set[tuple[str, bool, str]] = set()

    def receive(message: memoryview) -> None:
        received.append(bytes(message))
        kinds.add((message.format, message.readonly, threading.current_thread().name))

    reader.create_subscription(node, Image, 'image', receive, QOS)
    publisher = publisher_of(make_node('camera'))
    sent = [image(i, nbytes) for i, nbytes in enumerate((1, 100_000, 3, 5_000, 1_000_000, 0))]
    for message in sent:
        publisher.publish(message)
    assert wait_until(lambda: len(received) == len(sent))
    assert [deserialize_message(message, Image) for message in received] == sent
    assert kinds == {('B', True, 'ingress')}


def test_no_executor_serves_it_too(
    executor: PlaneExecutor, node: Node, make_node: NodeFactory
) -> None:
    """Neither its messages, though it spins the node, nor is it woken by them."""
    received: list[tuple[int, str]] = []
    executor.reader.create_subscription(
        node,
        Image,
        'image',
        lambda m: received.append((width(m), threading.current_thread().name)),
        QOS,
    )
    executor.add_node(node)
    waits: list[float] = []
    wait, waits_once = executor.spin_once, waits.append
    executor.spin_once = lambda *args: (waits_once(time.monotonic()), wait(*args))[1]  # type: ignore[method-assign]
    with spinning(executor):
        publisher = publisher_of(make_node('camera'))
        for value in range(20):
            publisher.publish(image(value))
        assert wait_until(lambda: len(received) == 20)
    assert received == [(value, 'ingress') for value in range(20)]
    assert len(waits) < 10


def test_the_queue_is_as_deep_as_asked(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """The newest messages are kept while a callback runs."""
    received: list[int] = []
    gate = threading.Event()

    def receive(message: memoryview) -> None:
        received.append(width(message))
        assert gate.wait(10.0)

    reader.create_subscription(node, Image, 'image', receive, QoSProfile(depth=2))
    publisher = publisher_of(make_node('camera'))
    publisher.publish(image(0))
    assert wait_until(lambda: received == [0])
    for value in range(1, 6):
        publisher.publish(image(value))
    time.sleep(0.2)
    gate.set()
    assert wait_until(lambda: len(received) >= 3)
    time.sleep(0.1)
    assert received == [0, 4, 5]


def test_subscriptions_take_turns(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """One message each, however many wait."""
    received: list[str] = []
    entered, gate = threading.Event(), threading.Event()

    def hold(_: memoryview) -> None:
        entered.set()
        assert gate.wait(10.0)

    reader.create_subscription(node, Image, 'gate', hold, QOS)
    camera = make_node('camera')
    publishers = []
    for topic in ('left', 'right', 'rear'):
        reader.create_subscription(
            node, Image, topic, lambda _, topic=topic: received.append(topic), QOS
        )
        publishers.append(publisher_of(camera, topic))
    publisher_of(camera, 'gate').publish(image(0))
    assert entered.wait(5.0)
    for publisher in publishers:
        for value in range(5):
            publisher.publish(image(value))
    time.sleep(0.2)
    gate.set()
    assert wait_until(lambda: len(received) == 15)
    assert received == ['left', 'right', 'rear'] * 5


def test_other_threads_run_during_a_take(node: Node, make_node: NodeFactory) -> None:
    """The middleware copies without the interpreter lock."""
    subscription = node.create_subscription(Image, 'image', lambda _: None, QOS, raw=True)
    publisher = publisher_of(make_node('camera'))
    for value in range(5):
        publisher.publish(image(value, 8_000_000))
    memory = MessageMemory()
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    # Nobody is made to give the interpreter up: whoever runs meanwhile was let in by take.
    sys.setswitchinterval(30.0)
    spans = []
    try:
        thread.start()
        end = time.monotonic() + 10.0
        while len(spans) < 5 and time.monotonic() < end:
            begin = time.perf_counter()
            if memory.take(subscription) is not None:
                spans.append((begin, time.perf_counter()))
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
        memory.close()
    assert any(begin < tick < end for begin, end in spans for tick in ticks)


# Faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', [ValueError, SystemExit])
def test_an_exception_goes_to_the_policy_and_the_thread_lives(
    reader: SubscriptionReader,
    node: Node,
    make_node: NodeFactory,
    errors: Errors,
    kind: type[BaseException],
) -> None:
    """With the subscription and its node; the next message is handed over."""
    received: list[int] = []

    def receive(message: memoryview) -> None:
        received.append(width(message))
        if width(message) % 2:
            raise kind('on purpose')

    subscription = reader.create_subscription(node, Image, 'image', receive, QOS)
    publisher = publisher_of(make_node('camera'))
    for value in range(6):
        publisher.publish(image(value))
    assert wait_until(lambda: len(received) == 6)
    assert wait_until(lambda: len(errors) == 3)
    assert all(isinstance(error, kind) for error, _, _ in errors)
    assert {(entity, owner) for _, entity, owner in errors} == {(subscription, node)}


def test_a_failing_middleware_is_told_and_tried_again(
    reader: SubscriptionReader,
    node: Node,
    make_node: NodeFactory,
    errors: Errors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a rate that leaves the processor to others."""
    take = MessageMemory.take
    broken = threading.Event()
    broken.set()

    def failing(memory: MessageMemory, subscription: Any) -> memoryview | None:
        if broken.is_set():
            raise RuntimeError('cannot be taken')
        return take(memory, subscription)

    monkeypatch.setattr(MessageMemory, 'take', failing)
    received: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher_of(make_node('camera')).publish(image(7))
    assert wait_until(lambda: len(errors) >= 3)
    time.sleep(0.3)
    assert len(errors) < 60
    broken.clear()
    assert wait_until(lambda: received == [7])
    assert errors[0][1:] == (None, None)


def test_a_publisher_of_another_profile_is_warned_of(
    reader: SubscriptionReader,
    node: Node,
    make_node: NodeFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As rclpy does, who would not get a message of it."""
    reader.create_subscription(node, Image, 'image', lambda _: None, QOS)
    unreliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    make_node('camera').create_publisher(Image, 'image', unreliable)
    told = ''

    def warned() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return 'incompatible QoS' in told

    assert wait_until(warned), told


# Changes -----------------------------------------------------------------------------------


def test_subscriptions_come_and_go_under_load(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory, errors: Errors
) -> None:
    """From several threads, while one that stays loses nothing."""
    received: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher = publisher_of(make_node('camera'))
    stop = threading.Event()
    others: list[int] = []

    def change() -> None:
        while not stop.is_set():
            made = reader.create_subscription(
                node, Image, 'image', lambda m: others.append(width(m)), QOS
            )
            time.sleep(0.002)
            reader.destroy_subscription(node, made)

    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    for value in range(200):
        publisher.publish(image(value, 50_000))
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert wait_until(lambda: len(received) == 200)
    assert received == list(range(200))
    assert others
    assert errors == []
    assert wait_until(lambda: publisher.get_subscription_count() == 1)


def test_one_that_is_destroyed_in_its_callback_gets_no_more(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """Though more messages wait; its memory is read to the end of the callback."""
    received: list[bytes] = []

    def receive(message: memoryview) -> None:
        reader.destroy_subscription(node, made)
        received.append(bytes(message))

    made = reader.create_subscription(node, Image, 'image', receive, QOS)
    publisher = publisher_of(make_node('camera'))
    for value in range(5):
        publisher.publish(image(value))
    assert wait_until(lambda: bool(received))
    assert wait_until(lambda: publisher.get_subscription_count() == 0)
    assert [deserialize_message(message, Image) for message in received] == [image(0)]


def test_a_node_that_is_destroyed_takes_nobody_along(
    reader: SubscriptionReader, context: Context, node: Node, make_node: NodeFactory
) -> None:
    """Its subscription goes at the next change at the latest."""
    received: list[int] = []
    doomed = Node('doomed', context=context)
    reader.create_subscription(doomed, Image, 'image', lambda _: None, QOS)
    doomed.destroy_node()
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher_of(make_node('camera')).publish(image(7))
    assert wait_until(lambda: received == [7])


# The end -----------------------------------------------------------------------------------


@pytest.mark.parametrize('hz', [0, 500])
def test_shutdown_is_quick(context: Context, make_node: NodeFactory, hz: int) -> None:
    """Under load, and while no message comes; nothing is handed over afterwards."""
    received: list[int] = []
    executor = PlaneExecutor(context=context)
    executor.reader.create_subscription(
        make_node('ingress'), Image, 'image', lambda m: received.append(width(m)), QOS
    )
    camera = make_node('camera')
    publisher = publisher_of(camera)
    stop = threading.Event()

    def play() -> None:
        while not stop.wait(1.0 / hz):
            publisher.publish(image(1, 1_000_000))

    player = threading.Thread(target=play if hz else stop.wait)
    player.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert executor.shutdown(2.0)
    assert time.monotonic() - began < 2.0
    assert 'ingress' not in names()
    before = len(received)
    time.sleep(0.1)
    stop.set()
    player.join()
    assert len(received) == before
    assert (before > 0) == (hz > 0)
    assert executor.shutdown(2.0)


def test_shutdown_gives_up_on_a_callback_that_hangs(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """And succeeds when it has ended; what is subscribed after it is not read."""
    entered, release = threading.Event(), threading.Event()

    def hang(_: memoryview) -> None:
        entered.set()
        release.wait(10.0)

    made = reader.create_subscription(node, Image, 'image', hang, QOS)
    publisher_of(make_node('camera')).publish(image(1))
    assert entered.wait(5.0)
    assert not reader.shutdown(0.1)
    release.set()
    assert reader.shutdown(2.0)
    reader.destroy_subscription(node, made)
    reader.create_subscription(node, Image, 'image', hang, QOS)
    assert 'ingress' not in names()


def test_shutdown_from_a_callback(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """Ends the thread after it."""
    ended: list[bool] = []
    reader.create_subscription(
        node, Image, 'image', lambda _: ended.append(reader.shutdown()), QOS
    )
    publisher_of(make_node('camera')).publish(image(1))
    assert wait_until(lambda: ended == [True])
    assert wait_until(lambda: 'ingress' not in names())


def test_the_end_of_the_context_ends_the_thread(
    reader: SubscriptionReader, context: Context, node: Node
) -> None:
    """Without a word to the reader."""
    reader.create_subscription(node, Image, 'image', lambda _: None, QOS)
    assert 'ingress' in names()
    context.shutdown()
    assert wait_until(lambda: 'ingress' not in names(), 2.0)


def test_a_signal_ends_the_thread() -> None:
    """Where rclpy catches it."""
    script = """
        import threading, time
        import rclpy
        from rclpy.node import Node
        from sensor_msgs.msg import Image
        from gpu_components.executor import PlaneExecutor
        rclpy.init()
        executor = PlaneExecutor()
        node = Node('main')
        executor.reader.create_subscription(node, Image, 'image', lambda m: None, 1)
        executor.add_node(node)
        node.create_timer(0.5, lambda: print('up', flush=True))
        executor.spin()
        end = time.monotonic() + 2.0
        while 'ingress' in [t.name for t in threading.enumerate()] and time.monotonic() < end:
            time.sleep(0.01)
        print([t.name for t in threading.enumerate() if t.name == 'ingress'], flush=True)
        assert executor.shutdown(2.0)
    """
    with child(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'up\n'
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10.0)
    assert process.returncode == 0
    assert out.splitlines()[-1] == '[]'


def test_idle_costs_nothing(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """With publishers that do not publish."""
    camera = make_node('camera')
    for topic in ('left', 'right', 'rear'):
        reader.create_subscription(node, Image, topic, lambda _: None, QOS)
        publisher_of(camera, topic)
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(2.0)
    assert (time.process_time() - before) / 2.0 <= 0.03
