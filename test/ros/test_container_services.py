# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the container's services promise, asked by another process."""

from __future__ import annotations

from pathlib import Path
import time

from container_process import RosClient
from lifecycle_msgs.msg import Transition
import pytest

CAMERA = 'gpu_perception::PhotoCamera'
FOLDER = 'gpu_perception::ImageFolderSource'
DETECTOR = 'gpu_perception::ObjectDetector'


def test_ids_start_at_one_and_are_never_used_again(ros: RosClient) -> None:
    """A new id per load, whatever was unloaded."""
    first = ros.load(CAMERA, node_name='a')
    second = ros.load(CAMERA, node_name='b')
    assert ros.unload(second.unique_id).success
    third = ros.load(CAMERA, node_name='c')
    assert first.unique_id == 1
    assert third.unique_id > second.unique_id > first.unique_id
    assert ros.loaded() == {first.unique_id: '/a', third.unique_id: '/c'}


def test_name_namespace_and_remapping(ros: RosClient) -> None:
    """A load request means what it means to the C++ container."""
    answer = ros.load(
        CAMERA, node_name='eye', node_namespace='/left', remap_rules=['image_raw:=rgb']
    )
    assert answer.success, answer.error_message
    assert answer.full_node_name == '/left/eye'
    ros.wait_state('/left/eye', 'active')
    topics = dict(ros.node.get_publisher_names_and_types_by_node('eye', '/left'))
    assert topics['/left/rgb'] == ['sensor_msgs/msg/Image']


def test_default_name_is_the_class_in_snake_case(ros: RosClient) -> None:
    """No name in the request: the component's own."""
    assert ros.load(CAMERA).full_node_name == '/photo_camera'


def test_parameters_of_the_request_reach_the_component(ros: RosClient) -> None:
    """Overrides win over defaults."""
    ros.load(
        CAMERA,
        node_name='cam',
        parameters={'rate_hz': 2.5, 'photos': ['package://skimage/data/coffee.png']},
    )
    assert ros.get_parameter('/cam', 'rate_hz') == 2.5
    assert ros.get_parameter('/cam', 'photos') == ['package://skimage/data/coffee.png']


@pytest.mark.parametrize(
    ('request_fields', 'told'),
    [
        (
            {'plugin': 'gpu_perception::ObjectDetectr'},
            "did you mean 'gpu_perception::ObjectDetector'",
        ),
        ({'plugin': 'os:system'}, 'allow_module_plugins'),
        ({'plugin': CAMERA, 'parameters': {'rate_hz': -1.0}}, 'rate_hz'),
        ({'plugin': CAMERA, 'parameters': {'rate_hz': 'fast'}}, 'rate_hz'),
        ({'plugin': CAMERA, 'parameters': {'photos': ['package://nowhere/a.png']}}, 'nowhere'),
        ({'plugin': CAMERA, 'extra_arguments': {'warp': True}}, 'warp'),
        ({'plugin': CAMERA, 'extra_arguments': {'enable_rosout': 'yes'}}, 'boolean'),
        ({'plugin': CAMERA, 'remap_rules': ['no rule']}, 'no rule'),
        ({'plugin': FOLDER, 'parameters': {'folder': '/no/such/folder'}}, '/no/such/folder'),
        (
            {'plugin': DETECTOR, 'parameters': {'model': '/no/such/file.onnx'}},
            '/no/such/file.onnx',
        ),
        ({'plugin': DETECTOR, 'parameters': {'preset': 'yolo'}}, 'yolox'),
        (
            {'plugin': DETECTOR, 'parameters': {'confidence_threshold': 1.5}},
            'confidence_threshold',
        ),
    ],
)
def test_refusals_name_the_plugin_and_the_reason(
    ros: RosClient, request_fields: dict[str, object], told: str
) -> None:
    """A refused request costs nothing and says why."""
    fields = dict(request_fields)
    plugin = str(fields.pop('plugin'))
    answer = ros.load(plugin, **fields)
    assert not answer.success
    assert plugin in answer.error_message
    assert told in answer.error_message
    assert ros.loaded() == {}


@pytest.mark.parametrize('name', ['broken.onnx', 'broken.pt2', 'broken.pt', 'broken.txt'])
def test_unreadable_models_are_refused(ros: RosClient, tmp_path: Path, name: str) -> None:
    """Bytes that are no model are found out while the request waits."""
    path = tmp_path / name
    path.write_bytes(b'this is no model' * 100)
    answer = ros.load(DETECTOR, parameters={'model': str(path)})
    assert not answer.success
    assert name in answer.error_message


def test_requests_are_answered_quickly(ros: RosClient) -> None:
    """A load does not wait for the component to be prepared."""
    took_s = []
    for number in range(4):
        begin = time.monotonic()
        assert ros.load(CAMERA, node_name=f'quick_{number}').success
        took_s.append(time.monotonic() - begin)
    assert min(took_s) < 0.5


def test_unknown_id_is_told(ros: RosClient) -> None:
    """Unloading what is not there fails and names the id."""
    answer = ros.unload(4711)
    assert not answer.success
    assert '4711' in answer.error_message


def test_lifecycle_services(ros: RosClient) -> None:
    """Down to unconfigured and up again through the standard services."""
    ros.load(CAMERA, node_name='cam')
    ros.wait_state('/cam', 'active')
    for transition, state in (
        (Transition.TRANSITION_DEACTIVATE, 'inactive'),
        (Transition.TRANSITION_CLEANUP, 'unconfigured'),
        (Transition.TRANSITION_CONFIGURE, 'inactive'),
        (Transition.TRANSITION_ACTIVATE, 'active'),
    ):
        assert ros.change_state('/cam', transition)
        assert ros.state('/cam') == state


def test_autostart_can_be_declined(ros: RosClient) -> None:
    """A component waits for its lifecycle manager if it is told to."""
    ros.load(CAMERA, node_name='cam', parameters={'autostart': False})
    assert ros.state('/cam') == 'unconfigured'


def test_a_failed_configure_leaves_the_component_unconfigured(
    ros: RosClient, tmp_path: Path
) -> None:
    """What only shows while it is prepared keeps the node down, and can be mended."""
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    ros.load(CAMERA, node_name='cam', parameters={'photos': [str(broken)], 'autostart': False})
    assert not ros.change_state('/cam', Transition.TRANSITION_CONFIGURE)
    assert ros.state('/cam') == 'unconfigured'
    good = ['package://skimage/data/coffee.png']
    assert ros.set_parameter('/cam', 'photos', good).successful
    assert ros.change_state('/cam', Transition.TRANSITION_CONFIGURE)


def test_illegal_parameters_are_refused_with_their_range(ros: RosClient) -> None:
    """The answer says what would be legal, and the old value stays."""
    ros.load(CAMERA, node_name='cam')
    ros.wait_state('/cam', 'active')
    answer = ros.set_parameter('/cam', 'rate_hz', 0.0)
    assert not answer.successful
    assert '0.01' in answer.reason and '10000' in answer.reason
    answer = ros.set_parameter('/cam', 'publish', 'sometimes')
    assert not answer.successful
    assert 'auto, always, never' in answer.reason
    answer = ros.set_parameter('/cam', 'loop', False)
    assert not answer.successful
    answer = ros.set_parameter('/cam', 'photos', ['/no/such.png'])
    assert not answer.successful
    assert '/no/such.png' in answer.reason
    assert ros.get_parameter('/cam', 'rate_hz') == 30.0


def test_an_output_has_one_producer_in_the_process(ros: RosClient) -> None:
    """The second of two components on one topic does not activate."""
    ros.load(CAMERA, node_name='one')
    ros.wait_state('/one', 'active')
    ros.load(CAMERA, node_name='two', parameters={'autostart': False})
    assert ros.change_state('/two', Transition.TRANSITION_CONFIGURE)
    assert not ros.change_state('/two', Transition.TRANSITION_ACTIVATE)
    assert ros.state('/two') == 'inactive'
    assert ros.state('/one') == 'active'
