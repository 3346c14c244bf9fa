# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a container had loaded comes back in the next process."""

from __future__ import annotations

from pathlib import Path

from container_process import RosClient
from container_process import running_container
from std_srvs.srv import Trigger


def save(client: RosClient) -> Trigger.Response:
    """Ask the container to save what it has."""
    return client.call(Trigger, '/gpu_container/save', Trigger.Request())


def test_components_remappings_and_present_parameters_come_back(tmp_path: Path) -> None:
    """The second process has what the first one had when it was saved."""
    path = tmp_path / 'deep' / 'manifest.yaml'
    with running_container(tmp_path, f'manifest:={path}'):
        client = RosClient()
        client.load(
            'gpu_perception::PhotoCamera',
            node_name='eye',
            node_namespace='/left',
            remap_rules=['image_raw:=rgb'],
            parameters={'photos': ['package://skimage/data/coffee.png']},
        )
        gone = client.load('gpu_perception::PhotoCamera', node_name='gone')
        client.wait_state('/left/eye', 'active')
        assert client.set_parameter('/left/eye', 'rate_hz', 12.5).successful
        assert client.unload(gone.unique_id).success
        answer = save(client)
        assert answer.success, answer.message
        client.close()
    with running_container(tmp_path, load=path):
        client = RosClient()
        client.wait_state('/left/eye', 'active')
        assert list(client.loaded().values()) == ['/left/eye']
        assert client.get_parameter('/left/eye', 'rate_hz') == 12.5
        assert client.get_parameter('/left/eye', 'photos') == ['package://skimage/data/coffee.png']
        topics = dict(client.node.get_publisher_names_and_types_by_node('eye', '/left'))
        assert '/left/rgb' in topics
        client.close()


def test_saving_without_a_file_says_what_to_do(tmp_path: Path) -> None:
    """The remedy is in the answer."""
    with running_container(tmp_path):
        client = RosClient()
        answer = save(client)
        client.close()
    assert not answer.success
    assert 'manifest' in answer.message
