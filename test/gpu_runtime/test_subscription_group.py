# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One reader of several queues: turns, batches, waiting and closing."""

from __future__ import annotations

import threading
import time

import pytest

from gpu_runtime.frame_bus import FrameBus
from gpu_runtime.overflow import Overflow
from gpu_runtime.subscription_group import SubscriptionGroup

Group = SubscriptionGroup[int]


@pytest.fixture
def bus() -> FrameBus[int]:
    """Return a bus of numbers."""
    return FrameBus()


def group(bus: FrameBus[int], *topics: str, depth: int = 10) -> Group:
    """Return the queues of one reader."""
    changed = threading.Condition()
    queues = tuple(
        bus.subscribe(topic, 'reader', depth=depth, changed=changed) for topic in topics
    )
    return SubscriptionGroup(queues, changed)


def publish(bus: FrameBus[int], topic: str, *items: int) -> None:
    """Put numbers on a topic."""
    for item in items:
        bus.channel(topic).publish(item)


def test_topics_take_turns(bus: FrameBus[int]) -> None:
    """A topic with much to say does not keep the others waiting, from one call to the next too."""
    reader = group(bus, 'a', 'b', 'c')
    publish(bus, 'a', 1, 2, 3, 4)
    publish(bus, 'c', 9)
    assert reader.take(0.0, most=1) == [(0, 1)]
    assert reader.take(0.0, most=3) == [(2, 9), (0, 2), (0, 3)]
    publish(bus, 'b', 7)
    assert reader.take(0.0, most=1) == [(1, 7)]
    assert reader.take(0.0, most=9) == [(0, 4)]
    assert reader.take(0.0) == []


def test_each_topic_loses_its_own(bus: FrameBus[int]) -> None:
    """The newest of each is left, whatever the others did."""
    reader = group(bus, 'a', 'b', depth=1)
    publish(bus, 'b', 5)
    publish(bus, 'a', 1, 2, 3)
    assert reader.take(0.0, most=9) == [(0, 3), (1, 5)]


def test_a_full_batch_does_not_linger(bus: FrameBus[int]) -> None:
    """It is handed over as soon as it is full; a lonely one after its wait."""
    reader = group(bus, 'a', 'b')
    publish(bus, 'a', 1)
    threading.Timer(0.05, publish, (bus, 'b', 2)).start()
    began = time.monotonic()
    assert reader.take(30.0, most=2, linger_s=30.0) == [(0, 1), (1, 2)]
    assert time.monotonic() - began < 15.0
    publish(bus, 'a', 3)
    began = time.monotonic()
    assert reader.take(30.0, most=2, linger_s=0.05) == [(0, 3)]
    assert 0.05 <= time.monotonic() - began < 15.0


def test_without_a_wait_what_is_there_goes(bus: FrameBus[int]) -> None:
    """No batch is worth a delay that nobody asked for."""
    reader = group(bus, 'a', 'b')
    publish(bus, 'b', 2)
    began = time.monotonic()
    assert reader.take(30.0, most=8) == [(1, 2)]
    assert time.monotonic() - began < 15.0


def test_closing_wakes_the_reader(bus: FrameBus[int]) -> None:
    """Whether it waits for the first item or for the rest of a batch."""
    for first in ((), (1,)):
        reader = group(bus, 'a', 'b')
        publish(bus, 'a', *first)
        threading.Timer(0.05, reader.close).start()
        began = time.monotonic()
        assert reader.take(30.0, most=2, linger_s=30.0) == []
        assert time.monotonic() - began < 15.0
        assert reader.closed


def test_many_producers_lose_nothing(bus: FrameBus[int]) -> None:
    """Each item comes once, in the order of its topic."""
    topics = ('a', 'b', 'c', 'd')
    reader = group(bus, *topics, depth=500)
    threads = [threading.Thread(target=publish, args=(bus, t, *range(500))) for t in topics]
    for thread in threads:
        thread.start()
    seen: dict[int, list[int]] = {index: [] for index in range(4)}
    while sum(map(len, seen.values())) < 2000:
        items = reader.take(10.0, most=3)
        assert items
        for index, item in items:
            seen[index].append(item)
    for thread in threads:
        thread.join()
    assert all(items == list(range(500)) for items in seen.values())


class Served:
    """A reader's thread that waits, with items that are taken on the thread that brings them."""

    def __init__(self, bus: FrameBus[int]) -> None:
        self.reader = group(bus, 'a', 'b')
        self.taken: list[tuple[int, int, str]] = []
        self.accepts = True
        self.timeout_s = 10.0
        self.read: list[tuple[int, int]] = []
        self.reader.serve(self._at_once)
        self.thread = threading.Thread(target=self._read, name='reader', daemon=True)

    def _at_once(self, index: int, item: int) -> bool:
        if self.accepts:
            self.taken.append((index, item, threading.current_thread().name))
        return self.accepts

    def _read(self) -> None:
        while not self.reader.closed:
            self.read += self.reader.take(self.timeout_s)

    def begin(self, *answers: bool | None) -> list[int]:
        """Start the reader, answer so from then on, and return the items that are tried."""
        tried: list[int] = []
        left = list(answers)

        def at_once(index: int, item: int) -> bool | None:
            tried.append(item)
            return left.pop(0)

        self.reader.serve(at_once)
        self.thread.start()
        self.wait()
        return tried

    def wait(self) -> None:
        """Wait until the reader waits."""
        end_s = time.monotonic() + 5.0
        while not self.reader._waiting:
            assert time.monotonic() < end_s
            time.sleep(0.001)

    def close(self) -> None:
        """End the thread."""
        self.reader.close()
        self.thread.join()


def test_an_item_is_taken_at_once_while_the_reader_waits(bus: FrameBus[int]) -> None:
    """On the thread that brings it, and counted as delivered; the reader takes what was there."""
    served = Served(bus)
    publish(bus, 'a', 1)  # nobody reads yet: queued
    served.thread.start()
    served.wait()
    publish(bus, 'b', 2)
    publish(bus, 'a', 3)
    assert served.taken == [(0, 1, 'reader'), (1, 2, 'MainThread'), (0, 3, 'MainThread')]
    assert served.read == []
    served.close()
    publish(bus, 'a', 4)
    assert len(served.taken) == 3
    assert [s.delivered for s in bus.channel('a').subscriptions] == [2]


def test_what_is_not_taken_at_once_is_queued(bus: FrameBus[int]) -> None:
    served = Served(bus)
    served.thread.start()
    served.wait()
    served.accepts = False
    publish(bus, 'a', 1)
    end_s = time.monotonic() + 5.0
    while served.read != [(0, 1)]:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    served.close()


def test_the_reader_gets_nothing_while_an_item_is_taken(bus: FrameBus[int]) -> None:
    """Nor is another one taken meanwhile, whoever brings it."""
    served = Served(bus)
    entered, gate = threading.Event(), threading.Event()
    order: list[object] = []

    def slowly(index: int, item: int) -> bool:
        order.append(item)
        if item == 1:
            publish(bus, 'b', 9)  # its own work leads back here: after it
            entered.set()
            assert gate.wait(5.0)
            order.append('done')
        return True

    served.reader.serve(slowly)
    served.thread.start()
    served.wait()
    bringing = [threading.Thread(target=publish, args=(bus, 'a', item)) for item in (1, 2)]
    bringing[0].start()
    assert entered.wait(5.0)
    bringing[1].start()
    time.sleep(0.05)
    assert order == [1] and served.read == []
    gate.set()
    for thread in bringing:
        thread.join()
    assert (order, served.read) == ([1, 'done', 9, 2], [])
    served.close()


def test_what_may_wait_is_taken_when_it_is_tried_again(bus: FrameBus[int]) -> None:
    """On the thread that tries; the reader sleeps on."""
    served = Served(bus)
    tried = served.begin(None, None, True)
    publish(bus, 'b', 5)
    served.reader.retry()
    time.sleep(0.05)
    assert (tried, served.read) == ([5, 5], [])
    served.reader.retry()
    assert (tried, served.read) == ([5, 5, 5], [])
    served.reader.retry()
    assert len(tried) == 3
    served.close()


def test_what_is_refused_at_a_later_try_is_the_reader_s(bus: FrameBus[int]) -> None:
    served = Served(bus)
    served.begin(None, False)
    publish(bus, 'a', 5)
    served.reader.retry()
    end_s = time.monotonic() + 5.0
    while served.read != [(0, 5)]:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    served.close()


def test_what_waits_comes_before_what_is_brought(bus: FrameBus[int]) -> None:
    """Who brings an item also hands on those that had to wait, and none of them is dropped."""
    served = Served(bus)
    tried = served.begin(None, True, True)
    (queue,) = bus.channel('a').subscriptions
    queue.depth = 1
    publish(bus, 'a', 5)
    publish(bus, 'a', 6)
    assert (tried, served.read) == ([5, 5, 6], [])
    assert (queue.delivered, queue.dropped) == (2, 0)
    served.close()


def test_what_merely_waits_is_not_the_reader_s(bus: FrameBus[int]) -> None:
    """Not after its timeout either: it only tries again, and sleeps on."""
    served = Served(bus)
    served.timeout_s = 0.01
    answers: list[bool | None] = [None]
    tried: list[str] = []

    def at_once(index: int, item: int) -> bool | None:
        tried.append(threading.current_thread().name)
        return answers[0]

    served.reader.serve(at_once)
    served.thread.start()
    served.wait()
    publish(bus, 'a', 5, 6)
    time.sleep(0.1)
    assert 'reader' in tried and served.read == []
    answers[0] = True
    end_s = time.monotonic() + 5.0
    while bus.channel('a').subscriptions[0].queued:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    assert served.read == []
    served.close()


def test_a_retry_that_is_not_needed_is_left_to_who_brings_the_next_item() -> None:
    """Unless that one waits for room, and so will not bring it."""
    bus: FrameBus[int] = FrameBus()
    changed = threading.Condition()
    queue = bus.subscribe('a', 'reader', overflow=Overflow.BLOCK, changed=changed)
    reader = SubscriptionGroup((queue,), changed)
    answers: list[bool | None] = [None]
    tried: list[int] = []

    def at_once(index: int, item: int) -> bool | None:
        tried.append(item)
        return answers[0]

    reader.serve(at_once)
    waiting = threading.Thread(target=reader.take, daemon=True)
    waiting.start()
    while not reader._waiting:
        time.sleep(0.001)
    publish(bus, 'a', 1)
    reader.retry(needed=False)
    assert tried == [1]
    blocked = threading.Thread(target=publish, args=(bus, 'a', 2), daemon=True)
    blocked.start()
    while not queue.blocked:
        time.sleep(0.001)
    answers[0] = True
    reader.retry(needed=False)
    blocked.join(5.0)
    assert not blocked.is_alive() and not queue.blocked
    assert tried[-2:] == [1, 2]
    reader.close()
    waiting.join()
