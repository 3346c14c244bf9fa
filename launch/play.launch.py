# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A video or a folder of pictures, played through the stages inside one container.

::

    ros2 launch gpu_perception play.launch.py video:=/data/drive.mp4 stages:=object_detector
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument
from launch.actions import IncludeLaunchDescription
from launch.actions import OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import LoadComposableNodes
from launch_ros.descriptions import ComposableNode
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext
from launch import LaunchDescription

TOPIC = '/camera/image_raw'


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the stages and the source; further arguments reach the stages."""
    stages = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution(
                [FindPackageShare('gpu_perception'), 'launch', 'gpu_perception.launch.py']
            )
        ),
        launch_arguments={'image_topic': TOPIC}.items(),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument('video', default_value='', description='Video file or URL.'),
            DeclareLaunchArgument(
                'folder', default_value='', description='Folder of pictures, if no video is given.'
            ),
            DeclareLaunchArgument(
                'rate_hz', default_value='25.0', description='Pictures per second.'
            ),
            stages,
            OpaqueFunction(function=_source),
        ]
    )


def _source(context: LaunchContext) -> list[LoadComposableNodes]:
    video = LaunchConfiguration('video').perform(context)
    folder = LaunchConfiguration('folder').perform(context)
    if bool(video) == bool(folder):
        raise ValueError('expected one of video:=FILE and folder:=FOLDER')
    plugin, name = ('VideoSource', 'video') if video else ('ImageFolderSource', 'folder')
    rate_hz = float(LaunchConfiguration('rate_hz').perform(context))
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    container = LaunchConfiguration('container').perform(context) or '/'.join(
        ('', *filter(None, (namespace,)), LaunchConfiguration('container_name').perform(context))
    )
    return [
        LoadComposableNodes(
            target_container=container,
            composable_node_descriptions=[
                ComposableNode(
                    package='gpu_perception',
                    plugin=f'gpu_perception::{plugin}',
                    name='source',
                    namespace=LaunchConfiguration('namespace'),
                    remappings=[('image_raw', TOPIC)],
                    parameters=[{name: video or folder, 'rate_hz': rate_hz}],
                )
            ],
        )
    ]
