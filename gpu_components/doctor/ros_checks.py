# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at in ROS 2: distribution, messages and cameras."""

from __future__ import annotations

from collections.abc import Iterator
import importlib
from importlib.util import find_spec
import os
import time
from typing import Any

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_components.doctor.library_checks import installed

MADE_FOR = ('humble', 'jazzy', 'kilted', 'lyrical')
IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
SETTLE_S = 1.5
"""Time that discovery on one machine takes, with a margin."""

MESSAGES = {
    'std_msgs.msg': 'Header',
    'sensor_msgs.msg': 'Image',
    'geometry_msgs.msg': 'Pose',
    'vision_msgs.msg': 'Detection2DArray',
    'diagnostic_msgs.msg': 'DiagnosticArray',
    'std_srvs.srv': 'Trigger',
    'lifecycle_msgs.srv': 'ChangeState',
    'rcl_interfaces.srv': 'SetParameters',
    'composition_interfaces.srv': 'LoadNode',
}


def distribution() -> Iterator[Finding]:
    """Check which ROS 2 this is."""
    if find_spec('rclpy') is None:
        remedy = 'source /opt/ros/DISTRO/setup.bash, or make the environment with `make setup`'
        yield Finding('ROS 2', ERROR, 'no Python package rclpy', remedy)
        return
    name = os.environ.get('ROS_DISTRO', '')
    wheel = installed('ros-rclpy')
    text = name or f'rclpy {wheel} from Python packages'
    if name and name not in MADE_FOR:
        remedy = f'made for {", ".join(MADE_FOR)}; expect surprises, and tell us'
        yield Finding('ROS 2', WARNING, f'{text} is none of those that this is made for', remedy)
    elif name or wheel:
        yield Finding('ROS 2', OK, text)
    else:
        remedy = 'source /opt/ros/DISTRO/setup.bash'
        yield Finding('ROS 2', WARNING, 'rclpy of an unknown distribution', remedy)
    missing = [name for name in ('launch', 'launch_ros') if not _is_package(name)]
    if missing:
        remedy = 'start with `gpu_container --load FILE.yaml`, or install ROS 2 for launch files'
        yield Finding('launch', WARNING, f'no {" and no ".join(missing)}', remedy)
    else:
        yield Finding('launch', OK, 'launch and launch_ros are there')


def _is_package(name: str) -> bool:
    # A mere folder of that name in the working directory has no origin.
    return getattr(find_spec(name), 'origin', None) is not None


def messages() -> Iterator[Finding]:
    """Check that every message package is there and has its compiled part."""
    usable = 0
    for module, name in MESSAGES.items():
        package = module.partition('.')[0]
        try:
            kind: Any = getattr(importlib.import_module(module), name)
            kind.__import_type_support__()
            usable += 1
        except Exception as error:
            debian = f'ros-$ROS_DISTRO-{package.replace("_", "-")}'
            remedy = f'apt install {debian} and source ROS 2, or `make setup` without ROS 2'
            yield Finding(package, ERROR, f'{name} cannot be used: {error!r}', remedy)
    yield Finding('messages', OK, f'{usable} of {len(MESSAGES)} packages can be used')


def cameras() -> Iterator[Finding]:
    """Listen which camera topics there are; takes a second or two."""
    import rclpy
    from rclpy.node import Node

    context = rclpy.Context()
    context.init()
    try:
        node = Node('gpu_perception_doctor', context=context, start_parameter_services=False)
        time.sleep(SETTLE_S)
        topics = [
            (topic, kind)
            for topic, kinds in node.get_topic_names_and_types()
            for kind in kinds
            if kind in IMAGE_TYPES and node.count_publishers(topic)
        ]
        for topic, kind in sorted(topics):
            yield _camera(node, topic, kind)
        node.destroy_node()
    finally:
        context.try_shutdown()
    if not topics:
        remedy = (
            'start the camera driver with the same ROS_DOMAIN_ID and '
            'ROS_AUTOMATIC_DISCOVERY_RANGE, or use a source component such as VideoSource'
        )
        yield Finding('cameras', WARNING, 'no image topic has a publisher', remedy)


def _camera(node: Any, topic: str, kind: str) -> Finding:
    publishers = node.get_publishers_info_by_topic(topic)
    text = f'{kind} from {", ".join(sorted({info.node_name for info in publishers}))}'
    sends = ', '.join(sorted({info.qos_profile.reliability.name.lower() for info in publishers}))
    return Finding(f'camera {topic}', OK, f'{text}, {sends}')


CHECKS = (distribution, messages, cameras)
