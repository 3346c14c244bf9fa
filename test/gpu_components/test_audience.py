# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Subscribers are counted once per period, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from gpu_components import audience
from gpu_components.audience import Audience
from gpu_components.audience import REMEMBERED_S


class Publisher:
    """A publisher whose subscribers come and go as the test says."""

    def __init__(self) -> None:
        self.subscribers = 0
        self.asked = 0

    def get_subscription_count(self) -> int:
        """Count the question."""
        self.asked += 1
        return self.subscribers


class Clock:
    """A clock that the test moves on; it may begin anywhere."""

    def __init__(self) -> None:
        self.now_s = 0.001

    def monotonic(self) -> float:
        """Return the time of the test."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that audiences read."""
    clock = Clock()
    monkeypatch.setattr(audience, 'time', clock)
    return clock


def test_an_answer_holds_for_the_period(clock: Clock) -> None:
    """The first is not older than its question; then a subscriber is seen one period late."""
    publisher, alone = Publisher(), Publisher()
    publisher.subscribers = 2
    asked = Audience({'a': publisher, 'b': alone})
    assert asked.heard() == {'a'}
    publisher.subscribers = 0
    clock.now_s += REMEMBERED_S * 0.9
    assert asked.heard() == {'a'}
    assert publisher.asked == alone.asked == 1
    clock.now_s += REMEMBERED_S * 0.2
    assert asked.heard() == set()
    publisher.subscribers = alone.subscribers = 1
    assert asked.heard() == set()
    clock.now_s += REMEMBERED_S * 1.1
    assert asked.heard() == {'a', 'b'}
    assert publisher.asked == 3


def test_an_answer_stays_the_same_object(clock: Clock) -> None:
    """While nobody comes or goes: what follows from it need not be found out again."""
    publisher = Publisher()
    publisher.subscribers = 1
    asked = Audience({'a': publisher})
    first = asked.heard()
    publisher.subscribers = 2
    clock.now_s += REMEMBERED_S * 1.1
    assert asked.heard() is first
    publisher.subscribers = 0
    clock.now_s += REMEMBERED_S * 1.1
    assert asked.heard() == set()
    assert publisher.asked == 3


def test_threads_share_the_answer(clock: Clock) -> None:
    """They ask once, or at most once each where they begin together."""
    publisher = Publisher()
    publisher.subscribers = 1
    asked = Audience({'a': publisher})
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: asked.heard(), range(1000)))
    assert 1 <= publisher.asked <= 4
