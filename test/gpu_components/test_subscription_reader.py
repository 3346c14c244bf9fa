# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The reader hands over what was sent, in turn, while subscriptions come and go."""

from __future__ import annotations

import threading
import time

from interpreter_lock import other_thread
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from reading import image
from reading import publisher_of
from reading import QOS
from reading import width
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import spinning
from spinning import wait_until
import torch

from gpu_components.executor import PlaneExecutor
from gpu_components.executor import SubscriptionReader
from gpu_components.message_memory import MessageMemory
from gpu_runtime.event import Event
from gpu_runtime.pinned_pool import PinnedPool

Errors = list[tuple[BaseException, object | None, Node | None]]

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


class Reading(Event):
    """An event of a device that reads until it is told to stop."""

    ended = False

    def passed(self) -> bool:
        """Return whether it was told."""
        return self.ended


def test_a_message_stays_until_the_event_of_its_callback_has_passed(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    """Those after it are put elsewhere; afterwards its memory is used again."""
    pool = PinnedPool(torch.device('cpu'))
    kept: list[memoryview] = []
    events = [Reading(), Reading()]

    def receive(message: memoryview) -> Event | None:
        kept.append(message)
        return events[len(kept) - 1] if len(kept) <= len(events) else None

    reader.create_subscription(node, Image, 'image', receive, QOS, pool)
    publisher = publisher_of(make_node('camera'))
    for value in (1, 2, 3, 4):
        publisher.publish(image(value, 300_000))
        assert wait_until(lambda value=value: len(kept) == value)
    assert [width(message) for message in kept[:2]] == [1, 2]
    assert width(kept[2]) == 4, 'what nobody reads is used again'
    report = pool.report()
    assert (report.leased, report.slabs) == (0, 4)  # the first was too small
    for event in events:
        event.ended = True
    publisher.publish(image(5, 300_000))
    assert wait_until(lambda: len(kept) == 5)
    assert 5 in [width(message) for message in kept[:2]]
    assert pool.report().slabs == 4


def test_memory_grows_in_few_steps_and_never_shrinks(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    pool = PinnedPool(torch.device('cpu'))
    received: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(len(m)), QOS, pool)
    publisher = publisher_of(make_node('camera'))
    sizes = [100_000, 101_000, 102_000, 300, 200_000, 100_000]
    for count, nbytes in enumerate(sizes, 1):
        publisher.publish(image(1, nbytes))
        assert wait_until(lambda count=count: len(received) == count)
    assert all(0 < length - nbytes < 100 for length, nbytes in zip(received, sizes, strict=True))
    report = pool.report()
    assert (report.leased, report.slabs) == (0, 3)
    assert report.nbytes < 4096 + 1.15 * (102_000 + 200_000)


def test_other_threads_run_during_a_take(node: Node, make_node: NodeFactory) -> None:
    """The middleware copies without the interpreter lock."""
    subscription = node.create_subscription(Image, 'image', lambda _: None, QOS, raw=True)
    publisher = publisher_of(make_node('camera'))
    for value in range(5):
        publisher.publish(image(value, 8_000_000))
    memory = MessageMemory(subscription, PinnedPool(torch.device('cpu')))
    takes: list[bool] = []
    try:
        with other_thread() as other:
            end = time.monotonic() + 10.0
            while len(takes) < 5 and time.monotonic() < end:
                message, has_run = other.runs_during(memory.take)
                if message is not None:
                    takes.append(has_run)
    finally:
        memory.release()
    assert any(takes)


def test_settled_is_what_no_callback_of_a_destroyed_subscription_runs_in(
    reader: SubscriptionReader, node: Node, make_node: NodeFactory
) -> None:
    assert reader.settle(0.0), 'nothing has begun'
    entered, gate = threading.Event(), threading.Event()

    def receive(message: memoryview) -> None:
        entered.set()
        gate.wait(5.0)

    subscription = reader.create_subscription(node, Image, 'image', receive, QOS)
    publisher_of(make_node('camera')).publish(image(1))
    assert entered.wait(5.0)
    reader.destroy_subscription(node, subscription)
    assert not reader.settle(0.1)
    gate.set()
    assert reader.settle(5.0)
    assert reader.shutdown(5.0)
    assert reader.settle(0.0)


# Names -------------------------------------------------------------------------------------


def test_names_are_remapped_as_in_any_node(reader: SubscriptionReader, context: Context) -> None:
    """By the node's own rules, relative to its namespace."""
    received: list[int] = []
    rules = ['--ros-args', '-r', 'image:=rear/image']
    node = Node('ingress', namespace='car', context=context, cli_args=rules)
    camera = Node('camera', context=context)
    made = reader.create_subscription(
        node, Image, 'image', lambda m: received.append(width(m)), QOS
    )
    assert made.topic_name == '/car/rear/image'
    publisher_of(camera, '/car/rear/image').publish(image(7))
    assert wait_until(lambda: received == [7])
    reader.destroy_subscription(node, made)
    node.destroy_node()
    camera.destroy_node()


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
