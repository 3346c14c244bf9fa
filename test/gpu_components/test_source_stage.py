# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A source keeps its rate, tells its time, and ends when its pictures do."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from probe import Host
from probe import now_ns
from probe import set_parameter
from spinning import wait_until

from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
from gpu_runtime.errors import SourceError


class Counter(Source[SourceParameters, None]):
    """Numbers its pictures in their first byte; what ``script`` holds comes instead."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.reads: list[float] = []
        self.script: dict[int, Any] = {}

    def prepare(self, params: SourceParameters) -> None:
        """Prepare nothing."""

    def read(self) -> Any:
        """Return the next picture, 6 wide and 4 high."""
        self.reads.append(time.monotonic())
        number = len(self.reads)
        if number in self.script:
            return self.script[number]()
        return np.full((4, 6, 3), number, np.uint8)


def test_the_rate_is_kept_on_average(host: Host) -> None:
    """Pictures come at their time, not at the time the last one was done plus a period."""
    counter = host.load(Counter, 'cam', publish='always', rate_hz=50.0).component
    for number in range(1, 200):
        counter.script[number] = lambda: (time.sleep(0.01), np.zeros((4, 6, 3), np.uint8))[1]
    assert wait_until(lambda: len(counter.reads) >= 40)
    assert abs(float(np.median(np.diff(counter.reads))) - 1 / 50.0) < 0.005


def test_a_stall_is_not_made_good_by_a_burst(host: Host) -> None:
    """After a long read at most one picture comes early."""
    counter = host.load(Counter, 'cam', publish='always', rate_hz=20.0).component

    def stall() -> Any:
        time.sleep(0.5)
        return np.zeros((4, 6, 3), np.uint8)

    counter.script[2] = stall
    assert wait_until(lambda: len(counter.reads) >= 8)
    after = np.diff(counter.reads)[2:]
    assert (after < 0.04).sum() <= 1  # ten were missed


def test_a_change_of_rate_applies_at_once(host: Host) -> None:
    """From the next picture on."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=5.0)
    assert wait_until(lambda: len(node.component.reads) >= 2)
    assert set_parameter(node, 'rate_hz', 100.0).successful
    assert wait_until(lambda: len(node.component.reads) >= 32, 3.0)  # 6 s at the old rate


def test_a_change_of_rate_does_not_wait_for_a_slow_period(host: Host) -> None:
    """A source of one picture a minute can be sped up, and stopped."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=0.02)
    assert wait_until(lambda: len(node.component.reads) == 1)
    assert set_parameter(node, 'rate_hz', 100.0).successful
    assert wait_until(lambda: len(node.component.reads) >= 5, 10.0)
    assert set_parameter(node, 'rate_hz', 0.02).successful
    time.sleep(0.1)
    began = time.monotonic()
    node.trigger_deactivate()
    assert time.monotonic() - began < 10.0


def test_pictures_carry_the_time_frame_and_bytes_of_the_source(host: Host) -> None:
    """What is on the bus is what was read, stamped with the node's clock."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=100)
    before = now_ns()
    host.load(Counter, 'cam', rate_hz=50.0, frame_id='left_optical')
    first, second = frames.take(5.0), frames.take(5.0)
    assert first is not None and second is not None
    assert before <= first.header.stamp_ns < second.header.stamp_ns <= now_ns()
    assert first.header.frame_id == 'left_optical'
    layout = first.format
    assert (layout.width, layout.height, layout.encoding, layout.step) == (6, 4, 'bgr8', 18)
    assert first.data.tolist() == [1] * 72
    assert second.data.tolist() == [2] * 72


def test_an_array_with_gaps_is_read_row_by_row(host: Host) -> None:
    """A view into a larger picture arrives without its surroundings."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test')
    node = host.load(Counter, 'cam', active=False)
    whole = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    node.component.script[1] = lambda: whole[2:5, 3:9]
    node.trigger_configure()
    node.trigger_activate()
    frame = frames.take(5.0)
    assert frame is not None
    assert frame.data.tolist() == whole[2:5, 3:9].reshape(-1).tolist()


def test_nothing_is_read_while_nobody_looks(host: Host) -> None:
    """The pictures that were not taken are counted."""
    counter = host.load(Counter, 'cam', rate_hz=100.0).component
    host.wait_count('unwanted', 5, '/cam')
    assert counter.reads == []
    frames = host.gpu.bus.subscribe('/image_raw', 'test')
    assert frames.take(5.0) is not None
    assert len(counter.reads) >= 1


def test_the_end_of_the_pictures_ends_the_source_quietly(host: Host) -> None:
    """No error is counted, and the node still goes down in order."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=100.0, active=False)
    node.component.script[4] = lambda: None
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('processed', 3, '/cam')
    time.sleep(0.1)
    assert len(node.component.reads) == 4
    assert host.metrics('/cam').dropped == 0
    assert host.count('received', '/cam') == 3
    node.trigger_deactivate()
    assert node.state == 'inactive'


def test_a_failed_read_costs_one_picture(host: Host) -> None:
    """It is counted and shown, and the source goes on."""
    node = host.load(Counter, 'cam', publish='always', rate_hz=100.0, active=False)

    def fail() -> Any:
        raise SourceError('file 2 is no picture')

    node.component.script[2] = fail
    node.trigger_configure()
    node.trigger_activate()
    host.wait_count('processed', 3, '/cam')
    assert host.count('dropped_error', '/cam') == 1
    assert 'file 2 is no picture' in host.metrics('/cam').error
