# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at in ROS 2: distribution, middleware, messages and cameras."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import importlib
from importlib.util import find_spec
import os
import shutil
import time
from typing import Any
from typing import TYPE_CHECKING

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_components.doctor.gpu_checks import installed
from gpu_components.doctor.shm_profile import profile_file
from gpu_components.doctor.shm_profile import segment_bytes
from gpu_components.resources import resolve_path
from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from rclpy.node import Node

MIB = 1 << 20
NEEDED_SEGMENT = 32 * MIB
"""A 4K rgb8 image and its header; see params/fastdds_large_images.xml."""

TESTED = ('humble', 'jazzy', 'kilted', 'lyrical')
PROFILE = 'package://gpu_perception/params/fastdds_large_images.xml'
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
    if name and name not in TESTED:
        remedy = f'known to work: {", ".join(TESTED)}; expect surprises, and tell us'
        yield Finding('ROS 2', WARNING, f'{text}, not tested with it', remedy)
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
    spec = find_spec(name)
    # A mere folder of that name in the working directory has no origin.
    return spec is not None and spec.origin is not None


def middleware() -> Iterator[Finding]:
    """Check the RMW and the room it has for images."""
    from rclpy.utilities import get_rmw_implementation_identifier

    name = str(get_rmw_implementation_identifier())
    yield Finding('RMW', OK, f'{name}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}')
    if 'fastrtps' in name:
        yield _segment()
    yield _shared_memory()


def _segment() -> Finding:
    profile = profile_file(os.environ)
    if profile is None:
        return Finding(
            'Fast DDS segment',
            WARNING,
            'no profile set: 512 KiB of shared memory, in which large images are lost',
            f'export FASTDDS_DEFAULT_PROFILES_FILE={_profile()} (FASTRTPS_DEFAULT_PROFILES_FILE '
            'before Kilted), for camera drivers too; launch files of this package do it',
        )
    try:
        size = segment_bytes(profile)
    except (OSError, ValueError) as error:
        return Finding('Fast DDS segment', ERROR, str(error), f'name {_profile()} instead')
    text = f'{size / MIB:.1f} MiB by {profile}'
    if size < NEEDED_SEGMENT:
        remedy = f'raise segment_size to {NEEDED_SEGMENT} bytes or more, as in {_profile()}'
        return Finding('Fast DDS segment', WARNING, text, remedy)
    return Finding('Fast DDS segment', OK, text)


def _profile() -> str:
    try:
        return resolve_path(PROFILE)
    except ParameterError:
        return 'params/fastdds_large_images.xml'


def _shared_memory() -> Finding:
    try:
        disk = shutil.disk_usage('/dev/shm')
    except OSError as error:
        return Finding('/dev/shm', WARNING, str(error), 'mount a tmpfs on /dev/shm')
    text = f'{disk.free / MIB:.0f} of {disk.total / MIB:.0f} MiB free'
    if disk.free < 8 * NEEDED_SEGMENT:
        remedy = 'start the container with --shm-size=1g or --ipc=host, or remove old fastrtps_*'
        return Finding('/dev/shm', WARNING, text, remedy)
    return Finding('/dev/shm', OK, text)


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


def _camera(node: Node, topic: str, kind: str) -> Finding:
    publishers = node.get_publishers_info_by_topic(topic)
    text = f'{kind} from {", ".join(sorted({info.node_name for info in publishers}))}'
    sends = ', '.join(sorted({info.qos_profile.reliability.name.lower() for info in publishers}))
    return Finding(f'camera {topic}', OK, f'{text}, {sends}')


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (distribution, middleware, messages, cameras)
