# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor's lines, its verdict, and what it says where something is missing."""

from __future__ import annotations

from collections.abc import Iterator
import io
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest
from rclpy.node import Node
from rich.console import Console
from sensor_msgs.msg import Image

from gpu_components.doctor import library_checks
from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_components.doctor.gpu_checks import driver_and_cards
from gpu_components.doctor.library_checks import CHECKS as LIBRARY_CHECKS
from gpu_components.doctor.library_checks import torch_and_torchvision
from gpu_components.doctor.middleware_checks import middleware
from gpu_components.doctor.ros_checks import cameras
from gpu_components.doctor.ros_checks import messages
from gpu_components.doctor.run import findings
from gpu_components.doctor.run import run_doctor
from gpu_components.doctor.shm_profile import DEFAULT_SEGMENT
from gpu_components.doctor.shm_profile import own_profile
from gpu_components.doctor.shm_profile import segment_bytes
from gpu_components.doctor.shm_profile import VARIABLES

PROJECT = Path(__file__).resolve().parents[2]
PROFILE = PROJECT / 'params' / 'fastdds_large_images.xml'


def broken() -> Iterator[Finding]:
    """Find one thing, then fail."""
    yield Finding('first', OK, 'well')
    raise OSError('disk is gone')


def test_a_check_that_fails_is_a_finding_and_the_others_run() -> None:
    found = list(findings([broken, lambda: iter([Finding('last', OK, 'well')])]))
    assert [f.name for f in found] == ['first', 'broken', 'last']
    assert found[1].level == ERROR
    assert 'disk is gone' in found[1].text
    assert found[1].remedy


def test_a_missing_torch_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do; whatever else needs it says so, and the other checks run."""
    monkeypatch.setattr(library_checks, 'installed', lambda name: '')
    (found,) = torch_and_torchvision()
    assert (found.name, found.level, found.text) == ('torch', ERROR, 'not installed')
    monkeypatch.setitem(sys.modules, 'torch', None)
    told = list(findings([driver_and_cards, lambda: iter([Finding('last', OK, 'well')])]))
    assert [f.name for f in told] == ['driver and cards', 'last']
    assert told[0].level == ERROR and 'torch' in told[0].text


def test_a_complaint_without_remedy_cannot_be_made() -> None:
    for level, remedy in ((WARNING, ''), (ERROR, ''), (OK, 'nothing to do')):
        with pytest.raises(ValueError, match='remedy'):
            Finding('x', level, 'y', remedy)


@pytest.mark.parametrize(('level', 'status'), [(OK, 0), (WARNING, 0), (ERROR, 1)])
def test_only_errors_fail(level: str, status: int) -> None:
    out = io.StringIO()
    finding = Finding('thing', level, 'is [so]', 'do that' if level != OK else '')
    assert run_doctor(checks=[lambda: [finding]], console=Console(file=out, width=40)) == status
    lines = out.getvalue().splitlines()
    assert lines[0].split() == [level, 'thing:', 'is', '[so]']
    assert ('→ do that' in lines[1]) == (level != OK)


def test_gpu_checks_work_without_a_gpu() -> None:
    """Nothing fails of itself, and a machine without GPU is no error."""
    import torch

    found = {finding.name: finding for finding in findings((*LIBRARY_CHECKS, driver_and_cards))}
    assert {'Python', 'torch', 'torchvision', 'CuPy', 'TensorRT'} <= set(found)
    assert not [f for f in found.values() if f.level == ERROR]
    if not torch.cuda.is_available():
        assert found['GPU'].level == WARNING
        assert 'driver' in found['GPU'].remedy


def test_torchvision_fits_torch_here() -> None:
    assert [finding.level for finding in torch_and_torchvision()] == [OK, OK]


def test_message_packages_are_usable_here() -> None:
    assert [finding.level for finding in messages()] == [OK]


def fastdds(monkeypatch: pytest.MonkeyPatch, profile: str) -> Finding:
    """Return what is found with a profile in the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if profile:
        monkeypatch.setenv(VARIABLES[0], profile)
    found = {finding.name: finding for finding in middleware()}
    if 'Fast DDS segment' not in found:
        pytest.skip('another RMW than Fast DDS')
    return found['Fast DDS segment']


def test_the_segment_size_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fastdds(monkeypatch, '').level == WARNING
    assert fastdds(monkeypatch, str(PROFILE)).level == OK
    assert fastdds(monkeypatch, str(tmp_path / 'none.xml')).level == ERROR
    small = tmp_path / 'small.xml'
    small.write_text('<dds><segment_size>1048576</segment_size></dds>')
    found = fastdds(monkeypatch, str(small))
    assert (found.level, found.text.split()[0]) == (WARNING, '1.0')


def test_profiles_are_read_with_and_without_namespace(tmp_path: Path) -> None:
    assert segment_bytes(PROFILE) == 64 << 20
    assert segment_bytes(PROJECT / own_profile({'ROS_DISTRO': 'jazzy'})[1]) == 64 << 20
    path = tmp_path / 'profile.xml'
    path.write_text('<dds xmlns="http://e/x"><segment_size> 77 </segment_size></dds>')
    assert segment_bytes(path) == 77
    path.write_text('<dds/>')
    assert segment_bytes(path) == DEFAULT_SEGMENT
    path.write_text('<dds>')
    with pytest.raises(ValueError, match='not XML'):
        segment_bytes(path)


def test_each_version_has_the_profile_that_it_can_read() -> None:
    spelled = {'humble': 'heartbeatPeriod', 'jazzy': 'heartbeatPeriod'}
    for distribution in ('humble', 'jazzy', 'kilted', 'rolling', ''):
        _, file = own_profile({'ROS_DISTRO': distribution})
        period = spelled.get(distribution, 'heartbeat_period')
        assert f'<{period}>' in (PROJECT / file).read_text('utf-8')


_HELD = """
import os
import rclpy

rclpy.init()
node = rclpy.create_node('held')
with open('/proc/self/maps') as maps:
    mapped = {line.split()[-1] for line in maps if '/dev/shm/' in line}
sizes = [os.stat(path).st_size for path in mapped if os.path.exists(path)]
print(rclpy.get_rmw_implementation_identifier(), max(sizes, default=0))
rclpy.shutdown()
"""


@pytest.mark.ros
def test_fast_dds_takes_the_profile() -> None:
    """It refuses a whole file for one word that it does not know, and goes on without."""
    if shutil.disk_usage('/dev/shm').free < 128 << 20:
        pytest.skip('/dev/shm has no room for a segment of 64 MiB')
    variable, file = own_profile(os.environ)
    surroundings = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    run = subprocess.run(
        [sys.executable, '-c', _HELD],
        env=surroundings | {variable: str(PROJECT / file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    middleware_name, largest = run.stdout.split()
    if 'fastrtps' not in middleware_name:
        pytest.skip('another RMW than Fast DDS')
    assert int(largest) >= 64 << 20
    assert 'XMLPARSER' not in run.stderr


@pytest.mark.ros
def test_cameras_are_seen() -> None:
    """None is a warning; one is told with its node and its QoS."""
    import rclpy

    assert [finding.name for finding in cameras()] == ['cameras']
    context = rclpy.Context()
    context.init()
    node = Node('some_driver', context=context)
    try:
        node.create_publisher(Image, '/camera/image_raw', 1)
        found = list(cameras())
    finally:
        node.destroy_node()
        context.try_shutdown()
    assert [f.name for f in found] == ['camera /camera/image_raw']
    assert found[0].text == 'sensor_msgs/msg/Image from some_driver, reliable'


@pytest.mark.ros
def test_the_command_prints_json() -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'gpu_components.cli', 'doctor', '--json'],
        cwd=PROJECT,
        env={**os.environ, 'COLUMNS': '60'},
        capture_output=True,
        text=True,
        timeout=100.0,
        check=False,
    )
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report['counts'][ERROR] else 0)
    assert {'GPU', 'RMW', 'messages'} <= {f['name'].partition(' ')[0] for f in report['findings']}
