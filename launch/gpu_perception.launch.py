# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A container with the perception stages of one camera.

::

    ros2 launch gpu_perception gpu_perception.launch.py stages:=object_detector
"""

from __future__ import annotations

import os

from launch.actions import DeclareLaunchArgument
from launch.actions import OpaqueFunction
from launch.actions import SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import ComposableNodeContainer
from launch_ros.actions import LoadComposableNodes
from launch_ros.descriptions import ComposableNode
from launch_ros.substitutions import FindPackageShare

from launch import Action
from launch import LaunchContext
from launch import LaunchDescription

FAST_DDS_2 = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
"""Whether Fast DDS looks for its profile under the older name, and spells it the older way."""


def shared(*parts: str) -> PathJoinSubstitution:
    """Return the path of an installed file of this package."""
    return PathJoinSubstitution([FindPackageShare('gpu_perception'), *parts])


STAGES = {
    'image_processor': 'ImageProcessor',
    'object_detector': 'ObjectDetector',
    'image_classifier': 'ImageClassifier',
    'depth_estimator': 'DepthEstimator',
    'semantic_segmenter': 'SemanticSegmenter',
    'memory_manager': 'MemoryManager',
}
"""Node name to class of every stage."""

ARGUMENTS = (
    DeclareLaunchArgument(
        'params_file',
        default_value=shared('params', 'default.yaml'),
        description='Parameters of container and components, by node name.',
    ),
    DeclareLaunchArgument(
        'image_topic',
        default_value='/camera/image_raw',
        description='Camera topic (sensor_msgs/Image) that the stages read.',
    ),
    DeclareLaunchArgument(
        'camera_info_topic',
        default_value='/camera/camera_info',
        description='Calibration of the camera (sensor_msgs/CameraInfo).',
    ),
    DeclareLaunchArgument(
        'stages',
        default_value=','.join(STAGES),
        description='Which stages to load, separated by commas.',
    ),
    DeclareLaunchArgument(
        'container',
        default_value='',
        description='Full name of a running container to load into; empty starts one, which '
        'reads params_file. A running one has its own parameter file.',
    ),
    DeclareLaunchArgument(
        'namespace', default_value='', description='Namespace of the container and its components.'
    ),
    DeclareLaunchArgument(
        'device',
        default_value='',
        description='auto, cpu, cuda or cuda:N; empty for what params_file says.',
    ),
    DeclareLaunchArgument(
        'container_name', default_value='gpu_container', description='Node name of the container.'
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='Least severe messages to log, for the whole process.',
    ),
    DeclareLaunchArgument(
        'fastdds_profile',
        default_value=shared(
            'params', f'{"fastrtps" if FAST_DDS_2 else "fastdds"}_large_images.xml'
        ),
        description='Fast DDS profile; not used if the environment names one already.',
    ),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the environment and the container with its stages."""
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=_profile), OpaqueFunction(function=_container)]
    )


def _stages(context: LaunchContext) -> list[ComposableNode]:
    names = [n for n in LaunchConfiguration('stages').perform(context).split(',') if n]
    if unknown := sorted(set(names) - set(STAGES)):
        raise ValueError(f'stages {unknown} are unknown; expected some of {", ".join(STAGES)}')
    image = LaunchConfiguration('image_topic')
    remappings = [
        ('input_image', image),
        ('image_raw', image),
        ('camera_info', LaunchConfiguration('camera_info_topic')),
    ]
    return [
        ComposableNode(
            package='gpu_perception',
            plugin=f'gpu_perception::{STAGES[name]}',
            name=name,
            namespace=LaunchConfiguration('namespace'),
            remappings=remappings,
            # The container's parameter file reaches the component, with all its wildcards.
            extra_arguments=[{'forward_global_arguments': True}],
        )
        for name in names
    ]


def _container(context: LaunchContext) -> list[Action]:
    running = LaunchConfiguration('container').perform(context)
    if running:
        return [
            LoadComposableNodes(
                target_container=running, composable_node_descriptions=_stages(context)
            )
        ]
    device = LaunchConfiguration('device').perform(context)
    return [
        ComposableNodeContainer(
            package='gpu_perception',
            executable='gpu_container',
            name=LaunchConfiguration('container_name'),
            namespace=LaunchConfiguration('namespace'),
            parameters=[
                LaunchConfiguration('params_file'),
                *([{'device': device}] if device else []),
            ],
            composable_node_descriptions=_stages(context),
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
            emulate_tty=True,
        )
    ]


def _profile(_: LaunchContext) -> list[SetEnvironmentVariable]:
    """Name the Fast DDS profile for large images, unless the user has named another."""
    names = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    if any(name in os.environ for name in names):
        return []
    # One of them only: with both, later versions load the file twice and complain.
    name = names[not FAST_DDS_2]
    return [SetEnvironmentVariable(name, LaunchConfiguration('fastdds_profile'))]
