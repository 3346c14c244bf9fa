# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The reader lives through faults and through nodes that go, and ends when it is told to."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from reading import image
from reading import names
from reading import publisher_of
from reading import QOS
from reading import width
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until

from gpu_components.executor import SubscriptionReader
from gpu_components.message_memory import MessageMemory
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.pinned_slab import PinnedSlab

Errors = list[tuple[BaseException, object | None, Node | None]]

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

    def failing(memory: MessageMemory) -> memoryview | None:
        if broken.is_set():
            raise RuntimeError('cannot be taken')
        return take(memory)

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


def refuse_memory(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[[int], bool], error: Exception
) -> None:
    """Let there be an error instead of memory of the sizes that are refused."""
    lease = PinnedPool.lease

    def failing(pool: PinnedPool, nbytes: int, owner: str = '') -> PinnedSlab:
        if refused(nbytes):
            raise error
        return lease(pool, nbytes, owner)

    monkeypatch.setattr(PinnedPool, 'lease', failing)


def test_memory_that_is_refused_is_told_and_asked_for_again(
    reader: SubscriptionReader,
    node: Node,
    make_node: NodeFactory,
    errors: Errors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread does not end with it."""
    refused = threading.Event()
    refused.set()
    refuse_memory(monkeypatch, lambda _: refused.is_set(), RuntimeError('no memory for messages'))
    received: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher_of(make_node('camera')).publish(image(7))
    assert wait_until(lambda: len(errors) >= 2)
    refused.clear()
    assert wait_until(lambda: received == [7])
    assert all(str(error) == 'no memory for messages' for error, _, _ in errors)
    assert errors[0][1:] == (None, None)


def test_a_message_that_there_is_no_memory_for_costs_only_itself(
    reader: SubscriptionReader,
    node: Node,
    make_node: NodeFactory,
    errors: Errors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was taken from the middleware when it turned out to be too large."""
    refuse_memory(monkeypatch, lambda nbytes: nbytes > 1_000_000, MemoryError())
    received: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher = publisher_of(make_node('camera'))
    publisher.publish(image(6, 2_000_000))
    assert wait_until(lambda: len(errors) == 1)
    publisher.publish(image(7, 200_000))
    assert wait_until(lambda: received == [7])
    assert 'image was not taken' in str(errors[0][0])


# Nodes that go -----------------------------------------------------------------------------


def test_a_node_that_is_destroyed_takes_nobody_along(
    reader: SubscriptionReader,
    context: Context,
    node: Node,
    make_node: NodeFactory,
    errors: Errors,
) -> None:
    """While messages come, and without a word to the reader; its subscriptions are let go of."""
    received: list[int] = []
    others: list[int] = []
    reader.create_subscription(node, Image, 'image', lambda m: received.append(width(m)), QOS)
    publisher = publisher_of(make_node('camera'))
    for value in range(50):
        if value % 5 == 0:
            doomed = Node(f'doomed_{value}', context=context)
            reader.create_subscription(
                doomed, Image, 'image', lambda m: others.append(width(m)), QOS
            )
        publisher.publish(image(value, 50_000))
        time.sleep(0.01)
        if value % 5 == 2:
            doomed.destroy_node()
    assert wait_until(lambda: len(received) == 50)
    assert received == list(range(50))
    assert others
    assert errors == []
    publisher.publish(image(50))
    assert wait_until(lambda: publisher.get_subscription_count() == 1)


def test_a_node_may_be_destroyed_in_its_callback(
    reader: SubscriptionReader,
    context: Context,
    make_node: NodeFactory,
    errors: Errors,
) -> None:
    """What the callback raises is told all the same; it is not called again."""
    received: list[int] = []
    doomed = Node('doomed', context=context)

    def receive(message: memoryview) -> None:
        doomed.destroy_node()
        received.append(width(message))
        raise ValueError('on purpose')

    made = reader.create_subscription(doomed, Image, 'image', receive, QOS)
    publisher = publisher_of(make_node('camera'))
    for value in range(5):
        publisher.publish(image(value))
    assert wait_until(lambda: publisher.get_subscription_count() == 0)
    assert received == [0]
    assert [(str(error), *owner) for error, *owner in errors] == [('on purpose', made, doomed)]


# The end -----------------------------------------------------------------------------------


def test_shutdown_is_quick_while_no_message_comes(reader: SubscriptionReader, node: Node) -> None:
    """And may be called again; the executor's tests shut it down under load."""
    reader.create_subscription(node, Image, 'image', lambda _: None, QOS)
    time.sleep(0.3)
    began = time.monotonic()
    assert reader.shutdown(2.0)
    assert time.monotonic() - began < 2.0
    assert 'ingress' not in names()
    assert reader.shutdown(2.0)


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
