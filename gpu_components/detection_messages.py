# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and classes as serialized ROS messages, on a completion thread."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from gpu_components.serialized import ENCAPSULATION
from gpu_components.serialized import header_cdr
from gpu_components.serialized import padded
from gpu_components.serialized import Serialized
from gpu_components.serialized import text_cdr

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runtime.header import Header

Named = list[tuple[str, float]]
"""Classes with their scores, the best first."""

_COUNT = Struct('<I')
_SCORE = Struct('<d')
_POSE = Struct('<43d').pack(*[0.0] * 6, 1.0, *[0.0] * 36)
"""geometry_msgs/PoseWithCovariance at its default: 3 + 4 of the pose, 36 of the covariance."""
_BOX_AND_ID = Struct('<5dIx')
"""Centre x and y, theta, size x and y; the id, an empty string."""
_GAP = bytes(-_BOX_AND_ID.size % 4)
"""From one detection to the next."""
_SCORE_AND_POSE = Struct(f'<d{len(_POSE)}s')
_REMEMBERED = 4096


def detections_message(
    header: Header, boxes: NDArray[np.float32], classes: Iterable[Named]
) -> Serialized:
    """
    Return boxes and their classes as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    boxes : numpy.ndarray
        float32 (N, 4): left, top, right, bottom in pixels of the source, x right, y down.
    classes : iterable of list of tuple
        For each box class and score, the best first; maybe none.

    Returns
    -------
    Serialized
        A vision_msgs/Detection2DArray: centre and size of each box in pixels, as many hypotheses
        as it has classes; poses and ids are left at their default.

    Raises
    ------
    ValueError
        If there are more or fewer classes than boxes.

    """
    stamp = header_cdr(header)
    parts = [ENCAPSULATION, stamp, _COUNT.pack(len(boxes))]
    at, gap = 2 * (len(stamp) + 4), b''
    for (left, top, right, bottom), named in zip(boxes.tolist(), classes, strict=True):
        parts += gap, stamp, _COUNT.pack(len(named))
        for name, score in named:
            parts += _class_id(name, at % 8), _SCORE_AND_POSE.pack(score, _POSE)
            at = 0
        x, y = (left + right) / 2, (top + bottom) / 2
        parts += bytes(-at % 8), _BOX_AND_ID.pack(x, y, 0.0, right - left, bottom - top, 1)
        at, gap = _BOX_AND_ID.size + len(_GAP) + len(stamp) + 4, _GAP
    return Serialized(b''.join(parts))


def classification_message(header: Header, classes: Named) -> Serialized:
    """
    Return the classes of a picture as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    classes : list of tuple
        Class and score, the best first.

    Returns
    -------
    Serialized
        A vision_msgs/Classification: one hypothesis per class.

    """
    stamp = header_cdr(header)
    parts = [ENCAPSULATION, stamp, _COUNT.pack(len(classes))]
    at = len(stamp) + 4
    for name, score in classes:
        parts += _class_id(name, at % 8), _SCORE.pack(score)
        at = 0
    return Serialized(b''.join(parts))


@lru_cache(maxsize=_REMEMBERED)
def _class_id(name: str, at: int) -> bytes:
    """Return a class at a multiple of four bytes, up to the score behind it."""
    return padded(text_cdr(name), 8, at)
