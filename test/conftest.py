# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Environment and fixtures of all tests, and the list of what this machine could not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from participants import none_is_left
import pytest

if TYPE_CHECKING:
    import torch

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / 'shared'
NO_GPU = 'no CUDA device'
NO_SHARED = 'no folder ../shared with models and pictures beside the project'
NO_LAUNCH = 'no Python packages launch and launch_ros; they come with a ROS 2 installation'

# Before anything imports rclpy: nothing leaves the machine, no other domain is disturbed.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('ROS_DOMAIN_ID', '78')
os.environ.setdefault('OMP_NUM_THREADS', '2')
if 'ROS_DISTRO' not in os.environ:
    os.environ['AMENT_PREFIX_PATH'] = sys.prefix


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Folder with real models and pictures that lies beside the project, not in it."""
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture(scope='module', autouse=True)
def ends_without_participants() -> Iterator[None]:
    """Fail a module that leaves a part of ROS alive: with many of them Fast DDS can deadlock."""
    with none_is_left():
        yield


@pytest.fixture(scope='session')
def gpu() -> torch.device:
    """Device to test on."""
    if not _has_gpu():
        pytest.skip(NO_GPU)
    import torch

    return torch.device('cuda', 0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a marked test that this machine cannot run."""
    if item.get_closest_marker('gpu') and not _has_gpu():
        pytest.skip(NO_GPU)
    if item.get_closest_marker('shared') and not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    if item.get_closest_marker('launch') and not all(map(find_spec, ('launch', 'launch_ros'))):
        pytest.skip(NO_LAUNCH)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not run, by reason, so that a green run hides nothing."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get('skipped', []):
        detail = report.longrepr
        text = detail[2] if isinstance(detail, tuple) else str(detail)
        reasons[text.removeprefix('Skipped: ')] += 1
    for report in terminalreporter.stats.get('xfailed', []):
        reasons[report.wasxfail.removeprefix('reason: ')] += 1
    if not reasons:
        return
    terminalreporter.section('not run on this machine')
    for reason, count in reasons.most_common():
        terminalreporter.line(f'{count:5d}  {reason}')


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
