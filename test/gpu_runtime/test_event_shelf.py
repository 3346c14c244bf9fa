# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Events are made as often as they are held at once, and never shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_runtime import event_shelf
from gpu_runtime.event_shelf import EventShelf


class Raw:
    """Stands for a CUDA event."""

    made = 0

    def __init__(self, *, blocking: bool, enable_timing: bool) -> None:
        assert blocking
        Raw.made += 1
        self.timing = enable_timing
        self.recorded: list[Any] = []
        self.asked = 0
        self.over = False

    def query(self) -> bool:
        """Count it."""
        self.asked += 1
        return self.over

    def synchronize(self) -> None:
        """Count it, and be over."""
        self.asked += 1
        self.over = True

    def record(self, stream: Any) -> None:
        """Note the stream."""
        self.recorded.append(stream)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> EventShelf:
    """Return a shelf of events that need no GPU."""
    monkeypatch.setattr(torch.cuda, 'Event', Raw)
    monkeypatch.setattr(Raw, 'made', 0)
    return EventShelf()


def record(shelf: EventShelf, stream: str, *, timing: bool = False) -> Any:
    """Record an event on something that stands for a stream."""
    return shelf.record(stream, timing=timing)  # type: ignore[arg-type]


def test_an_event_is_used_again_when_nobody_holds_it(shelf: EventShelf) -> None:
    first = record(shelf, 'a')
    second = record(shelf, 'b')
    assert first.raw is not second.raw
    raw = first.raw
    del first
    third = record(shelf, 'c')
    assert third.raw is raw
    assert raw.recorded == ['a', 'c']
    assert Raw.made == 2


def test_events_that_take_times_are_kept_apart(shelf: EventShelf) -> None:
    for timing in (False, True, False, True):
        event = record(shelf, 'a', timing=timing)
        assert event.raw.timing is timing
        del event
    assert Raw.made == 2


def test_a_shelf_holds_so_many(shelf: EventShelf) -> None:
    held = [record(shelf, 'a') for _ in range(event_shelf.SPARE_EVENTS + 5)]
    del held
    assert len(shelf._plain) == event_shelf.SPARE_EVENTS


def test_the_device_is_not_asked_again_after_an_event_has_passed(shelf: EventShelf) -> None:
    """Whoever asked first; each recording is another event."""
    event = record(shelf, 'a')
    assert not event.passed() and not event.over
    event.raw.over = True
    assert not event.over
    assert event.passed() and event.over and event.passed()
    event.wait_host()
    assert event.raw.asked == 2
    waited = record(shelf, 'a')
    waited.wait_host()
    assert waited.over and waited.passed()
    assert waited.raw.asked == 1
    raw = waited.raw
    del waited
    raw.over = False
    again = record(shelf, 'a')
    assert again.raw is raw and not again.passed()
