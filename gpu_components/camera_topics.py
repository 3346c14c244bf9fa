# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the topics of a component that serves several cameras."""

from __future__ import annotations

import re

from gpu_runtime.errors import ParameterError

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*\Z')


def topic_of(camera: str, topic: str) -> str:
    """
    Return one camera's topic.

    Parameters
    ----------
    camera : str
        Its name; empty for the only one.
    topic : str
        As the component declares it, e.g. ``input_image``.

    Returns
    -------
    str
        ``front/input_image`` for the camera ``front``; relative and remappable.

    """
    return f'{camera}/{topic}' if camera else topic


def check_cameras(cameras: tuple[str, ...]) -> None:
    """
    Refuse names that make no topics.

    Parameters
    ----------
    cameras : tuple of str
        Value of the parameter ``cameras``.

    Raises
    ------
    ParameterError
        If a name is no ROS name, or stands twice.

    """
    for camera in cameras:
        if not _NAME.match(camera):
            raise ParameterError(
                f'cameras: {camera!r} cannot be part of a topic; expected letters, digits and '
                'single underscores, beginning with a letter'
            )
    if len(set(cameras)) != len(cameras):
        raise ParameterError(f'cameras: {", ".join(cameras)}; expected each name once')
