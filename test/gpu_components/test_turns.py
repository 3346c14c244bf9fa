# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Turns: one after the other where that is quick, side by side where it is not."""

from __future__ import annotations

import threading
import time

import pytest

from gpu_components.turns import Turns


def test_short_work_never_runs_side_by_side() -> None:
    turns, inside, most = Turns(patience_s=60.0), [0], [0]

    def work() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.001)
        inside[0] -= 1

    def many() -> None:
        for _ in range(20):
            turns.run(work)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_who_takes_long_does_not_stop_the_others() -> None:
    turns, go_on, began = Turns(patience_s=0.001), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        assert go_on.wait(60.0)

    thread = threading.Thread(target=lambda: turns.run(slow))
    thread.start()
    assert began.wait(60.0)
    assert turns.run(lambda: 'done') == 'done'
    assert turns.run(lambda: 'again') == 'again'  # nor is the turn of another given away
    go_on.set()
    thread.join()
    assert turns._lock.acquire(blocking=False)


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(patience_s=60.0)

    def fails() -> None:
        raise ValueError('no')

    with pytest.raises(ValueError, match='no'):
        turns.run(fails)
    assert turns.run(lambda: 1) == 1
