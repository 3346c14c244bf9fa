# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The memory manager in a real container: status, services, limits and the pass-through."""

from __future__ import annotations

from collections.abc import Iterator
import threading
import time

from container_process import DEVICE
from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

pytestmark = pytest.mark.ros

MANAGER = 'gpu_perception::MemoryManager'
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


@pytest.fixture
def manager(ros: RosClient) -> RosClient:
    """Load a memory manager that looks five times a second."""
    answer = ros.load(
        MANAGER, parameters={'interval_s': 0.2, 'input_reliability': 'reliable', 'input_depth': 5}
    )
    assert answer.success, answer.error_message
    assert answer.full_node_name == '/memory_manager'
    ros.wait_state('/memory_manager', 'active')
    return ros


class Status:
    """The latest of ``memory_status`` and when each one came."""

    def __init__(self, client: RosClient) -> None:
        self._client = client
        self.times_s: list[float] = []
        self.latest: dict[str, DiagnosticStatus] = {}
        self._subscription = client.node.create_subscription(
            DiagnosticArray, '/memory_status', self._take, 10
        )

    def _take(self, message: DiagnosticArray) -> None:
        self.latest = {status.name: status for status in message.status}
        self.times_s.append(time.monotonic())

    def values(self, name: str) -> dict[str, int]:
        """Return the numbers of one status."""
        return {item.key: int(item.value) for item in self.latest[f'memory: {name}'].values}

    def wait(self, count: int) -> None:
        """Wait until so many more have come."""
        wanted = len(self.times_s) + count
        wait_until(lambda: len(self.times_s) >= wanted, f'no {count} statuses', 20.0)

    def close(self) -> None:
        """Unsubscribe."""
        self._client.node.destroy_subscription(self._subscription)


@pytest.fixture
def status(manager: RosClient) -> Iterator[Status]:
    """Listen to the manager."""
    status = Status(manager)
    yield status
    status.close()


def trigger(ros: RosClient, name: str) -> str:
    """Call a service of the manager and return what it says."""
    answer = ros.call(Trigger, f'/memory_manager/{name}', Trigger.Request())
    assert answer.success, answer.message
    return str(answer.message)


def test_the_status_names_every_component_and_the_card(status: Status) -> None:
    """One status per account, and three for the process, its pinned memory and the card."""
    status.wait(2)
    assert set(status.latest) == {
        'memory: process',
        'memory: pinned',
        'memory: card',
        'memory: /memory_manager',
    }
    assert status.values('/memory_manager')['limit_bytes'] == 0
    assert status.values('process')['device_bytes'] >= 0
    assert all(s.level == DiagnosticStatus.OK for s in status.latest.values())
    if DEVICE == 'cpu':
        assert 'CPU' in status.latest['memory: card'].message


def test_the_interval_changes_while_active(manager: RosClient, status: Status) -> None:
    """Five a second become one in a minute, and back."""
    status.wait(3)
    intervals = np.diff(status.times_s[-3:])
    assert 0.1 < float(np.median(intervals)) < 1.0
    assert manager.set_parameter('/memory_manager', 'interval_s', 60.0).successful
    time.sleep(1.5)
    before = len(status.times_s)
    time.sleep(1.5)
    assert len(status.times_s) == before
    assert manager.set_parameter('/memory_manager', 'interval_s', 0.2).successful
    status.wait(3)


def test_limits_are_read_or_refused(manager: RosClient, status: Status) -> None:
    """A limit shows in the status of its component; what cannot be read is refused."""
    limits = ['memory_manager=100']
    assert manager.set_parameter('/memory_manager', 'limits_mib', limits).successful
    wait_until(
        lambda: (
            bool(status.latest)
            and status.values('/memory_manager')['limit_bytes'] == 100 * 1024 * 1024
        ),
        'the limit is not told',
        10.0,
    )
    for bad in ('memory_manager', 'memory_manager=much', '=5', 'memory_manager=0'):
        refused = manager.set_parameter('/memory_manager', 'limits_mib', [bad])
        assert not refused.successful
        assert 'NODE=MIB' in refused.reason
    assert manager.get_parameter('/memory_manager', 'limits_mib') == limits


def test_services_answer(manager: RosClient) -> None:
    """``trim`` says what it returned, ``report`` who holds what."""
    assert 'MiB' in trigger(manager, 'trim')
    report = trigger(manager, 'report').splitlines()
    assert [line.partition(':')[0] for line in report] == [
        'process',
        'pinned',
        'card',
        '/memory_manager',
    ]


def test_trims_are_counted(manager: RosClient, status: Status) -> None:
    """A trim by service is one more in the status."""
    status.wait(1)
    before = status.values('process')['trims']
    trigger(manager, 'trim')
    status.wait(2)
    assert status.values('process')['trims'] == before + 1


def test_pictures_pass_through_unchanged(manager: RosClient) -> None:
    """``memory_managed_output`` has the bytes, stamp and frame of what came in."""
    node = manager.node
    answers: dict[int, Image] = {}
    arrived = threading.Event()

    def take(message: Image) -> None:
        answers[stamp_of(message)] = message
        arrived.set()

    publisher = node.create_publisher(Image, '/input_image', RELIABLE)
    watch = node.create_subscription(Image, '/memory_managed_output', take, RELIABLE)
    wait_until(lambda: publisher.get_subscription_count() > 0, 'nobody takes pictures', 20.0)
    time.sleep(0.5)
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    publisher.publish(picture_message(pixels, 'bgr8', stamp_ns=123456789))
    assert arrived.wait(20.0)
    message = answers[123456789]
    node.destroy_subscription(watch)
    node.destroy_publisher(publisher)
    assert (message.header.frame_id, message.encoding) == ('camera_optical', 'bgr8')
    assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(pixels.shape), pixels)
