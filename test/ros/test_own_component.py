# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A component of another package: loaded by module, tuned, and fed by a source on the bus."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path

from container_process import RosClient
from container_process import running_container
from container_process import wait_until
import pytest
from std_msgs.msg import Float32

HERE = str(Path(__file__).parent)


@pytest.fixture
def ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RosClient]:
    """Start a container whose operator allows module plugins."""
    path = os.pathsep.join(filter(None, (HERE, os.environ.get('PYTHONPATH', ''))))
    monkeypatch.setenv('PYTHONPATH', path)
    with running_container(tmp_path, 'allow_module_plugins:=true'):
        client = RosClient()
        yield client
        client.close()


def test_readme_component(ros: RosClient) -> None:
    """Frames arrive over the bus without a ROS subscription, and a parameter applies."""
    answer = ros.load('gpu_perception::PhotoCamera', parameters={'step_px': 0})
    assert answer.success, answer.error_message
    answer = ros.load('brightness:Brightness', remap_rules=['input_image:=image_raw'])
    assert answer.success, answer.error_message
    values: list[float] = []
    ros.node.create_subscription(Float32, '/brightness', lambda m: values.append(m.data), 10)
    wait_until(lambda: len(values) > 3, 'no brightness')
    before = values[-1]
    assert 0.1 < before < 0.9
    assert ros.node.count_subscribers('/image_raw') == 0
    assert ros.set_parameter('/brightness', 'gain', 2.0).successful
    wait_until(lambda: abs(values[-1] - 2 * before) < 1e-3, f'still {before}')
