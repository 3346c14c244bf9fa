# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Queues, their overflow policies, and who loses what."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

import pytest

from gpu_runtime.channel import Channel
from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import WiringError
from gpu_runtime.frame_bus import FrameBus
from gpu_runtime.overflow import Overflow
from gpu_runtime.subscription import Subscription

TOPIC = '/camera/image_raw'
LONG_S = 10.0


class Reader:
    """A subscriber that notes its drops and wants frames while told so."""

    def __init__(
        self, bus: FrameBus[int], overflow: Overflow, depth: int = 2, name: str = 'reader'
    ) -> None:
        self.drops = 0
        self.wants = True
        self.queue: Subscription[int] = bus.subscribe(
            TOPIC,
            name,
            depth=depth,
            overflow=overflow,
            wanted=lambda: self.wants,
            on_drop=self._drop,
        )

    def _drop(self) -> None:
        self.drops += 1

    def drain(self) -> list[int]:
        """Return all that is queued."""
        items = []
        while (item := self.queue.take(0.0)) is not None:
            items.append(item)
        return items


@pytest.fixture
def bus() -> FrameBus[int]:
    """Return an empty bus."""
    return FrameBus()


@pytest.fixture
def channel(bus: FrameBus[int]) -> Channel[int]:
    """Return a channel with a producer."""
    return bus.advertise(TOPIC, '/camera')


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start a thread that cannot outlive the tests."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds."""
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_items_come_in_order_and_by_reference() -> None:
    bus: FrameBus[object] = FrameBus()
    items = [object(), object()]
    queues = [
        bus.subscribe(
            TOPIC,
            name,
            depth=2,
            overflow=Overflow.DROP_OLDEST,
            wanted=lambda: True,
            on_drop=lambda: None,
        )
        for name in ('a', 'b')
    ]
    for item in items:
        bus.channel(TOPIC).publish(item)
    for queue in queues:
        assert queue.queued == 2
        assert [queue.take() is item for item in items] == [True, True]
        assert (queue.delivered, queue.dropped, queue.queued) == (2, 0, 0)


@pytest.mark.parametrize(
    ('overflow', 'kept'),
    [(Overflow.DROP_OLDEST, [3, 4]), (Overflow.DROP_NEWEST, [0, 1])],
)
def test_a_full_queue_drops_and_counts(
    bus: FrameBus[int], channel: Channel[int], overflow: Overflow, kept: list[int]
) -> None:
    reader = Reader(bus, overflow)
    for item in range(5):
        channel.publish(item)
    assert reader.queue.queued == 2
    assert reader.drain() == kept
    assert (reader.drops, reader.queue.dropped, reader.queue.delivered) == (3, 3, 2)
    assert channel.published == 5


def test_a_full_queue_with_fault_tells_the_producer(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    reader = Reader(bus, Overflow.FAULT, depth=1, name='/strict')
    channel.publish(1)
    with pytest.raises(LifecycleError, match=f'/strict: queue of 1 on {TOPIC} is full'):
        channel.publish(2)
    assert reader.drain() == [1]
    assert (reader.drops, reader.queue.dropped) == (1, 1)


def test_a_fault_costs_no_other_subscriber_its_frame(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    readers = [Reader(bus, Overflow.FAULT, depth=1), Reader(bus, Overflow.DROP_OLDEST, depth=5)]
    channel.publish(1)
    with pytest.raises(LifecycleError):
        channel.publish(2)
    assert [reader.drain() for reader in readers] == [[1], [1, 2]]


def test_a_slow_subscriber_loses_its_own_frames_only(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    slow, fast = Reader(bus, Overflow.DROP_OLDEST, depth=1), Reader(bus, Overflow.DROP_OLDEST)
    for item in range(10):
        channel.publish(item)
        assert fast.queue.take(0.0) == item
    assert (slow.drops, fast.drops) == (9, 0)


def test_block_waits_for_a_take(bus: FrameBus[int], channel: Channel[int]) -> None:
    reader = Reader(bus, Overflow.BLOCK)
    producer = in_thread(lambda: [channel.publish(item) for item in range(6)])
    wait_until(lambda: reader.queue.queued == 2)
    producer.join(0.05)
    assert producer.is_alive()
    assert [reader.queue.take(LONG_S) for _ in range(6)] == list(range(6))
    producer.join(LONG_S)
    assert not producer.is_alive()
    assert (reader.drops, reader.queue.delivered) == (0, 6)


def test_unsubscribing_frees_a_blocked_producer(bus: FrameBus[int], channel: Channel[int]) -> None:
    blocked, other = Reader(bus, Overflow.BLOCK, depth=1), Reader(bus, Overflow.DROP_OLDEST)
    producer = in_thread(lambda: [channel.publish(item) for item in range(4)])
    wait_until(lambda: channel.published == 2)
    producer.join(0.05)
    assert producer.is_alive()
    bus.unsubscribe(blocked.queue)
    producer.join(LONG_S)
    assert not producer.is_alive()
    assert blocked.queue.closed
    assert (blocked.queue.queued, blocked.drops) == (0, 0)
    assert other.drain() == [2, 3]
    assert channel.subscriptions == (other.queue,)
    bus.unsubscribe(blocked.queue)


def test_take_waits_times_out_and_wakes_on_close(bus: FrameBus[int]) -> None:
    reader = Reader(bus, Overflow.DROP_OLDEST)
    begin = time.monotonic()
    assert reader.queue.take(0.05) is None
    assert time.monotonic() - begin >= 0.05
    taken: list[int | None] = []
    thread = in_thread(lambda: taken.append(reader.queue.take()))
    time.sleep(0.02)
    bus.channel(TOPIC).publish(5)
    thread.join(LONG_S)
    thread = in_thread(lambda: taken.append(reader.queue.take()))
    time.sleep(0.02)
    reader.queue.close()
    thread.join(LONG_S)
    assert taken == [5, None]


def test_a_closed_queue_is_empty_and_takes_nothing(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    reader = Reader(bus, Overflow.DROP_OLDEST)
    channel.publish(1)
    reader.queue.close()
    channel.publish(2)
    assert reader.queue.closed
    assert (reader.queue.queued, reader.queue.take(), reader.drops) == (0, None, 0)


def test_nothing_is_pushed_to_who_does_not_want_it(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    assert not channel.wanted()
    asleep, awake = Reader(bus, Overflow.FAULT, depth=1), Reader(bus, Overflow.DROP_OLDEST)
    asleep.wants = False
    channel.publish(1)
    channel.publish(2)
    assert channel.wanted()
    awake.wants = False
    assert not channel.wanted()
    asleep.wants = True
    assert channel.wanted()
    channel.publish(3)
    assert (asleep.drain(), awake.drain()) == ([3], [1, 2])
    assert (asleep.drops, asleep.queue.delivered) == (0, 1)


def test_a_smaller_depth_takes_effect_at_the_next_item(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    reader = Reader(bus, Overflow.DROP_OLDEST, depth=6)
    for item in range(6):
        channel.publish(item)
    reader.queue.depth = 2
    channel.publish(6)
    assert reader.queue.queued == 2
    assert reader.drain() == [5, 6]
    assert reader.drops == reader.queue.dropped == 5


@pytest.mark.parametrize('depth', [0, -1])
def test_a_queue_holds_at_least_one(bus: FrameBus[int], depth: int) -> None:
    with pytest.raises(WiringError, match=f'reader: depth {depth} on {TOPIC}'):
        Reader(bus, Overflow.DROP_OLDEST, depth=depth)
    assert bus.channel(TOPIC).subscriptions == ()


def test_a_topic_has_one_producer(bus: FrameBus[int], channel: Channel[int]) -> None:
    with pytest.raises(WiringError, match=f'/other and /camera both publish {TOPIC}'):
        bus.advertise(TOPIC, '/other')
    bus.withdraw(channel)
    assert bus.advertise(TOPIC, '/other') is channel
    assert channel.producer == '/other'


def test_a_subscriber_may_come_before_its_producer(bus: FrameBus[int]) -> None:
    assert bus.channels() == []
    reader = Reader(bus, Overflow.DROP_OLDEST)
    channel = bus.advertise(TOPIC, '/camera')
    channel.publish(1)
    assert reader.drain() == [1]
    assert bus.channels() == [channel]
    bus.withdraw(channel)
    assert bus.channels() == [channel]
    bus.unsubscribe(reader.queue)
    assert bus.channels() == []


@pytest.mark.parametrize('overflow', [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.BLOCK])
def test_every_item_is_accounted_for_under_stress(
    bus: FrameBus[int], channel: Channel[int], overflow: Overflow
) -> None:
    readers = [Reader(bus, overflow, depth=3, name=str(number)) for number in range(3)]
    taken: list[list[int]] = [[], [], []]

    def read(number: int) -> None:
        while (item := readers[number].queue.take(LONG_S)) is not None and item >= 0:
            taken[number].append(item)

    threads = [in_thread(lambda n=n: read(n)) for n in range(3)]  # type: ignore[misc]
    for item in range(2000):
        channel.publish(item)
    wait_until(lambda: all(reader.queue.queued == 0 for reader in readers))
    channel.publish(-1)
    for thread in threads:
        thread.join(LONG_S)
    for reader, items in zip(readers, taken, strict=True):
        assert items == sorted(set(items))
        assert len(items) + reader.drops == 2000
        assert reader.queue.delivered == len(items) + 1
        if overflow is Overflow.BLOCK:
            assert reader.drops == 0


def test_subscribers_come_and_go_while_frames_flow(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            reader = Reader(bus, Overflow.BLOCK, depth=1)
            reader.queue.take(0.001)
            bus.unsubscribe(reader.queue)

    steady = Reader(bus, Overflow.DROP_OLDEST, depth=5000)
    threads = [in_thread(come_and_go) for _ in range(3)]
    end = time.monotonic() + 1.0
    while time.monotonic() < end and channel.published < 5000:
        channel.publish(channel.published)
    stop.set()
    for thread in threads:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in threads)
    assert channel.subscriptions == (steady.queue,)
    assert steady.drain() == list(range(channel.published))


def test_who_was_asked_already_is_not_asked_again(
    bus: FrameBus[int], channel: Channel[int]
) -> None:
    """An item goes to those who wanted it when they were asked."""
    first, second = (Reader(bus, Overflow.DROP_OLDEST, name=name) for name in ('a', 'b'))
    second.wants = False
    wanting = channel.wanting()
    assert wanting == (first.queue,)
    first.wants, second.wants = False, True
    channel.publish(1, wanting)
    assert (first.drain(), second.drain()) == ([1], [])
    second.wants = False
    assert channel.wanting() == ()
