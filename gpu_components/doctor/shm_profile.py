# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Profiles of Fast DDS: this package's, the one in the environment, and its room for images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import xml.etree.ElementTree as ElementTree

VARIABLES = (
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
)
"""Of Fast DDS 3 (Kilted and later), and of Fast DDS 2."""

DEFAULT_SEGMENT = 512 * 1024
"""Bytes without a profile (Fast DDS documentation, shared memory transport)."""


FAST_DDS_2 = ('humble', 'iron', 'jazzy')
"""Distributions that have it."""


def own_profile(environment: Mapping[str, str]) -> tuple[str, str]:
    """
    Return this package's profile.

    Parameters
    ----------
    environment : Mapping of str to str
        As for :func:`profile_file`; ``ROS_DISTRO`` tells the version of Fast DDS.

    Returns
    -------
    variable : str
        That names a profile to this version.
    file : str
        In the package's share folder.  Each version refuses the file of the other.

    """
    if environment.get('ROS_DISTRO') in FAST_DDS_2:
        return VARIABLES[1], 'params/fastrtps_large_images.xml'
    return VARIABLES[0], 'params/fastdds_large_images.xml'


def profile_file(environment: Mapping[str, str]) -> Path | None:
    """
    Return the profile that Fast DDS will read.

    Parameters
    ----------
    environment : Mapping of str to str
        Such as ``os.environ``.

    Returns
    -------
    Path or None
        None if no variable names one.

    """
    for name in VARIABLES:
        if environment.get(name):
            return Path(environment[name])
    return None


def segment_bytes(profile: Path) -> int:
    """
    Return the size of the shared-memory segment that a profile asks for.

    Parameters
    ----------
    profile : Path
        An XML file of Fast DDS profiles.

    Returns
    -------
    int
        Bytes of the largest one; Fast DDS's default if none is set.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not XML, or a size is not a number.

    """
    try:
        root = ElementTree.fromstring(profile.read_text('utf-8'))
    except ElementTree.ParseError as error:
        raise ValueError(f'{profile} is not XML: {error}') from error
    # Profiles may or may not have a namespace, which ElementTree puts before each tag.
    sizes = [
        int(element.text or '')
        for element in root.iter()
        if element.tag.rpartition('}')[2] == 'segment_size'
    ]
    return max(sizes, default=DEFAULT_SEGMENT)
