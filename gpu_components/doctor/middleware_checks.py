# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at in the middleware: which it is, and its room for images."""

from __future__ import annotations

from collections.abc import Iterator
import os
import shutil

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_components.doctor.shm_profile import own_profile
from gpu_components.doctor.shm_profile import profile_file
from gpu_components.doctor.shm_profile import segment_bytes
from gpu_components.resources import resolve_path
from gpu_runtime.errors import ParameterError

MIB = 1 << 20
NEEDED_SEGMENT = 32 * MIB
"""A 4K rgb8 image and its header; see params/fastdds_large_images.xml."""


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
            f'export {own_profile(os.environ)[0]}={_profile()}, for camera drivers too; launch '
            'files of this package do it',
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
    _, file = own_profile(os.environ)
    try:
        return resolve_path(f'package://gpu_perception/{file}')
    except ParameterError:
        return file


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


CHECKS = (middleware,)
