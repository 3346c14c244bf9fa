# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What `/diagnostics` tells of every stage: its state, its rate, its drops, its last error."""

from __future__ import annotations

from collections.abc import Iterator
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from probe import Host
from probe import Listener
from probe import Probe
import pytest
from rclpy.executors import SingleThreadedExecutor
from spinning import NodeFactory
from spinning import wait_until

from gpu_components.diagnostics import Diagnostics


class Monitor:
    """Diagnostics that publish when a test says so, and a node that listens."""

    def __init__(self, host: Host, node: Any, viewer: Any) -> None:
        self.diagnostics = Diagnostics(node, host.gpu, lambda: dict(enumerate(host.nodes)))
        node.destroy_timer(self.diagnostics._timer)
        self.publisher = self.diagnostics._publisher
        self.listener = Listener(viewer, DiagnosticArray, '/diagnostics')
        self.matched(1)

    def matched(self, count: int) -> None:
        """Wait until so many subscribers are known."""
        assert wait_until(lambda: self.publisher.get_subscription_count() == count)

    def status(self, name: str) -> tuple[DiagnosticStatus, dict[str, str]]:
        """Publish once and return one stage's status and its values."""
        before = len(self.listener.messages)
        self.diagnostics.publish()
        message = self.listener.wait(before + 1)[before]
        (status,) = [s for s in message.status if s.name == f'container: {name}']
        return status, {item.key: item.value for item in status.values}


@pytest.fixture
def monitor(host: Host, make_node: NodeFactory, spun: SingleThreadedExecutor) -> Iterator[Monitor]:
    """Make diagnostics that somebody listens to."""
    viewer = make_node('viewer')
    spun.add_node(viewer)
    yield Monitor(host, make_node('container'), viewer)
    spun.remove_node(viewer)


def test_an_active_stage_is_well(host: Host, monitor: Monitor) -> None:
    """With its counters, its timings and the device it runs on."""
    host.load(Probe, publish='always')
    host.push(1)
    host.wait_count('processed', 1)
    status, values = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'active')
    assert status.hardware_id == 'cpu'
    assert (values['received'], values['processed'], values['last_error']) == ('1', '1', '')
    for timing in ('queue', 'host', 'device', 'latency'):
        assert 0 <= float(values[f'{timing}_p50_ms']) <= float(values[f'{timing}_p99_ms']) < 5000
    assert values['current_delay_from_realtime_ms'] == values['latency_p50_ms']


def test_a_new_drop_warns_once(host: Host, monitor: Monitor) -> None:
    """With the error; when nothing more is dropped all is well, and the error still told."""
    probe = host.load(Probe, publish='always')
    monitor.status('/probe')
    probe.component.faults = [ValueError('on purpose')]
    host.push(1)
    host.wait_count('dropped_error', 1)
    status, values = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'ValueError: on purpose')
    assert values['dropped_error'] == '1'
    status, values = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'active')
    assert values['last_error'] == 'ValueError: on purpose'


def test_a_stage_that_is_down_is_told(host: Host, monitor: Monitor) -> None:
    """By its state; as an error if something failed."""
    probe = host.load(Probe, active=False)
    status, _ = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'unconfigured')
    broken = host.load(Probe, 'broken', model='broken', active=False)
    broken.trigger_configure()
    status, _ = monitor.status('/broken')
    assert status.level == DiagnosticStatus.ERROR
    assert "model 'broken' cannot be loaded" in status.message
    probe.trigger_configure()
    status, _ = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'inactive')


def test_the_rate_is_per_second(host: Host, monitor: Monitor) -> None:
    """Of the time between two messages, whatever that was."""
    host.load(Probe, publish='always')
    _, values = monitor.status('/probe')
    assert float(values['frame_rate_node']) == 0.0
    began = time.monotonic()
    for stamp in range(1, 11):
        host.push(stamp)
        host.wait_count('processed', stamp)
    time.sleep(0.2)
    _, values = monitor.status('/probe')
    rate = 10 / (time.monotonic() - began)
    assert float(values['frame_rate_node']) == pytest.approx(rate, rel=0.25)


def test_the_rate_of_the_pictures_is_that_of_their_stamps(host: Host, monitor: Monitor) -> None:
    """However fast they are processed."""
    host.load(Probe, publish='always')
    host.push(1_000_000_000)
    host.wait_count('processed', 1)
    monitor.status('/probe')
    for number in range(1, 6):
        host.push(1_000_000_000 + number * 40_000_000)
        host.wait_count('processed', number + 1)
    _, values = monitor.status('/probe')
    assert float(values['frame_rate_msg']) == pytest.approx(25.0, abs=0.01)


def test_a_rate_below_the_expected_one_warns(host: Host, monitor: Monitor) -> None:
    """Beyond the tolerance; the other tests have no expectation, and no warning."""
    host.load(Probe, publish='always', expected_frequency_hz=1000.0, frequency_tolerance=0.5)
    monitor.status('/probe')
    time.sleep(0.05)
    status, values = monitor.status('/probe')
    assert (status.level, status.message) == (DiagnosticStatus.WARN, 'fewer results than expected')
    assert (values['expected_frequency'], values['tolerance']) == ('1000.00', '0.50')


def test_a_late_listener_is_not_told_an_absurd_rate(
    host: Host, monitor: Monitor, make_node: NodeFactory
) -> None:
    """What was processed while nobody listened is not the rate of one second."""
    host.load(Probe, publish='always', input_depth=500)
    monitor.status('/probe')
    monitor.listener.node.destroy_subscription(monitor.listener.subscription)
    monitor.matched(0)
    monitor.diagnostics.publish()
    for stamp in range(1, 401):
        host.push(stamp)
    host.wait_count('processed', 400)
    monitor.listener = Listener(monitor.listener.node, DiagnosticArray, '/diagnostics')
    monitor.matched(1)
    _, values = monitor.status('/probe')
    assert float(values['frame_rate_node']) == 0.0
    _, values = monitor.status('/probe')
    assert float(values['frame_rate_node']) == 0.0


def test_nothing_is_made_for_nobody(host: Host, make_node: NodeFactory) -> None:
    """Without a subscriber the metrics are not even read."""
    node = make_node('container')
    asked: list[int] = []

    def components() -> dict[int, Any]:
        asked.append(1)
        return {}

    Diagnostics(node, host.gpu, components).publish()
    assert asked == []
