# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a stage promises about its frames, its faults and the change of its parameters."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any
import weakref

from probe import Host
from probe import now_ns
from probe import Probe
from probe import set_parameter
import pytest
from rclpy.parameter import Parameter
from spinning import wait_until
import torch

from gpu_components.frame_stage import TIMED
from gpu_components.output import Results
from gpu_runtime.errors import CudaError
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.stream import Stream


def test_every_frame_is_computed_once_and_handed_on(host: Host) -> None:
    """In the order of arrival, by reference."""
    probe = host.load(Probe, publish='always', input_depth=10)
    echo = host.gpu.bus.subscribe('/echo', 'test', depth=10)
    frames = [host.frame(stamp) for stamp in (1, 2, 3)]
    for frame in frames:
        host.gpu.bus.channel('/input_image').publish(frame)
    assert [echo.take(5.0) for _ in frames] == frames
    assert probe.component.stamps() == [1, 2, 3]
    host.wait_count('processed', 3)
    assert host.count('received') == 3
    assert host.metrics().dropped == 0
    assert {'queue', 'host', 'device', 'latency'} <= set(host.metrics().timings)


def test_nothing_is_computed_while_nobody_wants_the_result(host: Host) -> None:
    """With ``publish: auto``, no subscriber in ROS and none on the bus."""
    probe = host.load(Probe)
    host.push(1)
    echo = host.gpu.bus.subscribe('/echo', 'test')
    host.push(2)
    assert echo.take(5.0) is not None
    assert probe.component.stamps() == [2]


def test_some_batches_are_timed_on_the_device(host: Host) -> None:
    """The first too, so that slow cameras are told of; the host's times are of all."""
    host.load(Probe, publish='always')
    for stamp in range(2 * TIMED + 1):
        host.push(stamp)
        host.wait_count('processed', stamp + 1)
    timings = host.metrics().timings
    assert (timings['device'].count, timings['host'].count) == (3, 2 * TIMED + 1)


def test_an_exception_costs_its_frame_only(host: Host) -> None:
    """It is counted by cause and shown; the next frame is answered."""
    probe = host.load(Probe, publish='always', input_depth=10)
    probe.component.faults = [ValueError('on purpose')]
    host.push(1)
    host.push(2)
    host.wait_count('processed', 1)
    assert probe.component.stamps() == [1, 2]
    assert host.count('dropped_error') == 1
    assert host.metrics().error == 'ValueError: on purpose'
    assert probe.state == 'active'


def test_out_of_memory_is_tried_once_more(host: Host) -> None:
    """The frame is answered, and the retry counted."""
    probe = host.load(Probe, publish='always')
    probe.component.faults = [torch.OutOfMemoryError('full')]
    host.push(5)
    host.wait_count('processed', 1)
    assert probe.component.stamps() == [5, 5]
    assert host.count('memory_retries') == 1
    assert host.metrics().dropped == 0


def test_out_of_memory_twice_costs_the_frame(host: Host) -> None:
    """With a cause of its own; the stage goes on."""
    probe = host.load(Probe, publish='always', input_depth=10)
    probe.component.faults = [torch.OutOfMemoryError('full')] * 2
    host.push(1)
    host.push(2)
    host.wait_count('processed', 1)
    assert probe.component.stamps() == [1, 1, 2]
    assert host.count('dropped_out_of_memory') == 1
    assert host.count('memory_retries') == 1


class Hoarder(Probe):
    """Runs out of memory once, with a large tensor in hand."""

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Raise at the first call; note at the second whether the tensor is gone."""
        if not hasattr(self, 'hoard'):
            tensor = torch.ones(1000)
            self.hoard = weakref.ref(tensor)
            raise torch.OutOfMemoryError('full')
        self.let_go = self.hoard() is None
        return super().compute(frame, stream)


def test_a_retry_has_the_memory_of_the_first_attempt(host: Host) -> None:
    """What the failed attempt held is free when it is tried again."""
    probe = host.load(Hoarder, publish='always')
    host.push(1)
    host.wait_count('processed', 1)
    assert probe.component.let_go


def test_a_lost_context_is_told_upwards(host: Host) -> None:
    """Whoever catches the error passes it to the device manager."""
    lost: list[BaseException] = []
    host.gpu = GpuContext('cpu', on_lost=lost.append)
    probe = host.load(Probe, publish='always')
    error = CudaError('launch failed', sticky=True)
    probe.component.faults = [error]
    host.push(1)
    assert wait_until(lambda: lost == [error])


def test_frames_older_than_max_age_are_dropped(host: Host) -> None:
    """By the stamp of the source; others pass, and 0 keeps all."""
    probe = host.load(Probe, publish='always', input_depth=10, max_age_ms=500.0)
    old, new = now_ns() - 2 * 10**9, now_ns()
    host.push(old)
    host.push(new)
    host.wait_count('processed', 1)
    assert probe.component.stamps() == [new]
    assert host.count('dropped_stale') == 1
    assert set_parameter(probe, 'max_age_ms', 0.0).successful
    host.push(old)
    host.wait_count('processed', 2)
    assert probe.component.stamps() == [new, old]


def test_a_full_queue_drops_the_oldest(host: Host) -> None:
    """Each drop is counted; what is newest is computed."""
    probe = host.load(Probe, publish='always')
    probe.component.gate.clear()
    host.push(1)
    assert probe.component.entered.wait(5.0)
    for stamp in (2, 3, 4):
        host.push(stamp)
    probe.component.gate.set()
    host.wait_count('processed', 2)
    assert probe.component.stamps() == [1, 4]
    assert host.count('dropped_overflow') == 2


def test_queue_parameters_apply_at_once(host: Host) -> None:
    """Depth and overflow of an active component."""
    probe = host.load(Probe, publish='always')
    probe.component.gate.clear()
    host.push(1)
    assert probe.component.entered.wait(5.0)
    assert set_parameter(probe, 'input_depth', 2).successful
    assert set_parameter(probe, 'input_overflow', 'drop_newest').successful
    for stamp in (2, 3, 4):
        host.push(stamp)
    probe.component.gate.set()
    host.wait_count('processed', 3)
    assert probe.component.stamps() == [1, 2, 3]


def test_a_swap_takes_place_between_frames_and_closes_the_old_once(host: Host) -> None:
    """The frame under way keeps parameters and model; the next one has both anew."""
    probe = host.load(Probe, publish='always', input_depth=10)
    component = probe.component
    component.gate.clear()
    host.push(1)
    assert component.entered.wait(5.0)
    answers = probe.set_parameters_atomically(
        [Parameter('model', value='second'), Parameter('gain', value=2)]
    )
    assert answers.successful
    first, second = component.prepares
    assert (component.prepared, component.params.gain, first.closed) == (first, 1, 0)
    component.gate.set()
    host.push(2)
    host.wait_count('processed', 2)
    assert [(p.gain, model) for _, p, model in component.seen] == [(1, first), (2, second)]
    assert (first.closed, second.closed) == (1, 0)
    probe.trigger_deactivate()
    probe.trigger_cleanup()
    assert (first.closed, second.closed) == (1, 1)


def test_a_swap_that_is_overtaken_is_closed_unused(host: Host) -> None:
    """Two changes within one frame: the first is never used, and closed once."""
    probe = host.load(Probe, publish='always', input_depth=10)
    component = probe.component
    component.gate.clear()
    host.push(1)
    assert component.entered.wait(5.0)
    for model in ('second', 'third'):
        assert set_parameter(probe, 'model', model).successful
    assert set_parameter(probe, 'gain', 3).successful
    first, second, third = component.prepares
    assert (first.closed, second.closed) == (0, 1)
    component.gate.set()
    host.push(2)
    host.wait_count('processed', 2)
    assert component.seen[1][1:] == (component.params, third)
    assert (component.params.gain, component.params.model) == (3, 'third')
    assert [p.closed for p in component.prepares] == [1, 1, 0]


def test_a_swap_applies_without_frames(host: Host) -> None:
    """An idle stage does not keep the old model."""
    probe = host.load(Probe)
    assert set_parameter(probe, 'model', 'second').successful
    assert wait_until(lambda: probe.component.prepares[0].closed == 1, 2.0)
    assert probe.component.prepared.model == 'second'


def test_a_swap_waiting_at_deactivation_is_not_lost(host: Host) -> None:
    """The values that were accepted are those of the next activation."""
    probe = host.load(Probe)
    assert set_parameter(probe, 'model', 'second').successful
    probe.trigger_deactivate()
    assert probe.component.prepared.model == 'second'
    assert [p.closed for p in probe.component.prepares] == [1, 0]


def test_a_change_while_inactive_applies_at_once(host: Host) -> None:
    """There is no frame to wait for."""
    probe = host.load(Probe)
    probe.trigger_deactivate()
    assert set_parameter(probe, 'model', 'second').successful
    assert probe.component.params.model == 'second'
    assert [p.closed for p in probe.component.prepares] == [1, 0]


@pytest.mark.parametrize('model', ['refused', 'broken'])
def test_a_refused_change_leaves_everything_as_it_was(host: Host, model: str) -> None:
    """The reason is told; frames go on with the old model."""
    probe = host.load(Probe, publish='always')
    answer = set_parameter(probe, 'model', model)
    assert not answer.successful
    assert model in answer.reason
    host.push(1)
    host.wait_count('processed', 1)
    assert probe.component.seen[0][2].model == 'first'
    assert probe.component.prepares[0].closed == 0
    assert probe.get_parameter('model').value == 'first'


def test_a_model_that_cannot_be_closed_does_not_end_the_stage(host: Host) -> None:
    """An exception of a component's own never costs more than a frame."""
    probe = host.load(Probe, publish='always', model='unclosable')
    host.push(1)
    host.wait_count('processed', 1)
    assert set_parameter(probe, 'model', 'second').successful
    assert wait_until(lambda: probe.component.prepares[0].closed == 1, 2.0)
    host.push(2)
    host.wait_count('processed', 2)
    assert 'cannot be closed' in host.metrics().error


def test_frames_return_their_memory_when_they_are_done(host: Host) -> None:
    """An idle stage holds none, whatever it computed last."""
    host.load(Probe, publish='always')
    frame: Any = host.frame(1)
    held = weakref.ref(frame)
    host.gpu.bus.channel('/input_image').publish(frame)
    host.wait_count('processed', 1)
    del frame

    def gone() -> bool:
        gc.collect()
        return held() is None

    assert wait_until(gone, 2.0)


def test_deactivation_ends_the_threads(host: Host) -> None:
    """Quickly, and frames in flight are published first."""
    probe = host.load(Probe, publish='always')
    host.push(1)
    assert probe.component.entered.wait(5.0)
    began = time.monotonic()
    probe.trigger_deactivate()
    assert time.monotonic() - began < 5.0
    assert host.count('processed') == 1
    assert not [t for t in threading.enumerate() if 'probe' in t.name]
    host.push(2)
    assert probe.component.stamps() == [1]


class Passer(Probe):
    """Notes the thread that it computes on, and takes no time."""

    passes_on = True

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Note the thread."""
        self.threads = [*getattr(self, 'threads', []), threading.current_thread().name]
        return super().compute(frame, stream)


def waits(host: Host) -> None:
    """Wait until a stage waits for frames."""
    group = host.nodes[-1]._inputs.group  # type: ignore[union-attr]
    assert wait_until(lambda: group._waiting)


def test_what_passes_frames_on_does_it_on_the_thread_that_brings_them(host: Host) -> None:
    """While its own thread waits; all is counted as ever."""
    probe = host.load(Passer, publish='always')
    for stamp in (1, 2):
        waits(host)
        host.push(stamp)
        host.wait_count('processed', stamp)
    assert probe.component.threads == ['MainThread'] * 2
    assert (host.count('received'), host.metrics().dropped) == (2, 0)
    assert {'queue', 'host', 'device', 'latency'} <= set(host.metrics().timings)


def test_a_change_of_parameters_comes_before_the_next_frame_at_once(host: Host) -> None:
    """The stage's own thread applies it, and the frame obeys."""
    probe = host.load(Passer, publish='always')
    waits(host)
    assert set_parameter(probe, 'gain', 3).successful
    host.push(1)
    host.wait_count('processed', 1)
    assert [params.gain for _, params, _ in probe.component.seen] == [3]


def test_an_error_at_once_costs_its_frame_only(host: Host) -> None:
    """Who brings it hears nothing of it."""
    probe = host.load(Passer, publish='always')
    probe.component.faults = [ValueError('on purpose')]
    for stamp in (1, 2):
        waits(host)
        host.push(stamp)
    host.wait_count('processed', 1)
    assert host.count('dropped_error') == 1
    assert probe.component.threads == ['MainThread'] * 2


def test_a_stale_frame_is_dropped_at_once(host: Host) -> None:
    """And its place in flight is free again."""
    host.load(Passer, publish='always', max_age_ms=1000.0)
    for _ in range(4):
        waits(host)
        host.push(1)
    assert host.count('dropped_stale') == 4
    waits(host)
    host.gpu.bus.channel('/input_image').publish(host.frame(now_ns()))
    host.wait_count('processed', 1)


def test_without_a_place_in_flight_a_frame_waits_for_who_frees_one(host: Host) -> None:
    """Who brings it never does; it is computed on the thread that frees the place."""
    probe = host.load(Passer, publish='always')
    waits(host)
    egress = probe._egress
    places = 0
    while egress.acquire(blocking=False):
        places += 1
    host.push(1)
    host.push(2)  # takes the place of the first in the queue
    assert probe.component.stamps() == []
    for _ in range(places):
        egress.release()
    egress.freed(True)
    assert (probe.component.stamps(), probe.component.threads) == ([2], ['MainThread'])
    assert host.count('dropped_overflow') == 1


def test_at_full_load_each_place_that_is_freed_takes_the_next_frame(host: Host) -> None:
    """The newest is among them, in order, none twice, and not all on the stage's own thread."""
    probe = host.load(Passer, publish='always')
    waits(host)
    for stamp in range(1, 301):
        host.push(stamp)
    assert wait_until(lambda: probe.component.stamps()[-1:] == [300])
    stamps = probe.component.stamps()
    assert stamps == sorted(set(stamps))
    assert wait_until(lambda: host.count('processed') == len(stamps))
    assert host.count('dropped_overflow') == 300 - len(stamps)
    own = [name for name in probe.component.threads if not name.startswith(('Main', 'compl'))]
    assert len(own) < len(stamps)
