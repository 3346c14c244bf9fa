# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Events are made as often as they are held at once, never shared, and asked until they passed."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_runtime.event_shelf import EventShelf


class Driver:
    """Stands for that of a device."""

    def __init__(self) -> None:
        self.timed: list[bool] = []
        self.recorded: list[tuple[int, int]] = []
        self.destroyed: list[int] = []
        self.over: set[int] = set()
        self.asked = 0

    def create_event(self, *, timing: bool) -> int:
        """Return a number."""
        self.timed.append(timing)
        return len(self.timed)

    def destroy_event(self, event: int) -> None:
        """Note it."""
        self.destroyed.append(event)

    def record(self, event: int, stream: int) -> None:
        """Note both."""
        self.over.discard(event)
        self.recorded.append((event, stream))

    def passed(self, event: int) -> bool:
        """Count the question."""
        self.asked += 1
        return event in self.over

    def synchronize(self, event: int) -> None:
        """Count it, and end the work."""
        self.asked += 1
        self.over.add(event)

    def seconds_between(self, start: int, end: int) -> float:
        """Return what tells both."""
        return end + start / 10


@pytest.fixture
def driver() -> Driver:
    """Return what needs no GPU."""
    return Driver()


@pytest.fixture
def shelf(driver: Any) -> EventShelf:
    """Return a shelf of its events."""
    return EventShelf(driver)


def test_an_event_is_used_again_when_nobody_holds_it(shelf: EventShelf, driver: Driver) -> None:
    first = shelf.record(70, timing=False)
    second = shelf.record(80, timing=False)
    assert (first.raw, second.raw) == (1, 2)
    del first
    third = shelf.record(90, timing=False)
    assert third.raw == 1
    assert driver.recorded == [(1, 70), (2, 80), (1, 90)]


def test_events_that_take_times_are_kept_apart(shelf: EventShelf, driver: Driver) -> None:
    for timing in (False, True, False, True):
        event = shelf.record(70, timing=timing)
        assert driver.timed[event.raw - 1] is timing
        del event
    assert driver.timed == [False, True]
    start, end = (shelf.record(70, timing=True) for _ in range(2))
    assert end.seconds_since(start) == pytest.approx(end.raw + start.raw / 10)


def test_spare_events_are_destroyed_at_the_end(shelf: EventShelf, driver: Driver) -> None:
    """Not those that are held."""
    held, timed, spare = (shelf.record(70, timing=timing) for timing in (False, True, False))
    del timed, spare
    shelf.close()
    assert sorted(driver.destroyed) == [2, 3]
    assert held.raw == 1


def test_the_device_is_not_asked_again_after_an_event_has_passed(
    shelf: EventShelf, driver: Driver
) -> None:
    """Whoever asked first; each recording is another event."""
    event = shelf.record(70, timing=False)
    assert not event.passed() and not event.over
    driver.over.add(event.raw)
    assert not event.over
    assert event.passed() and event.over and event.passed()
    event.wait_host()
    assert driver.asked == 2
    waited = shelf.record(70, timing=False)
    waited.wait_host()
    assert waited.over and waited.passed()
    assert driver.asked == 3
    del waited
    assert not shelf.record(70, timing=False).passed()
