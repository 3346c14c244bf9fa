# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS messages made of host arrays."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header as HeaderMessage
from vision_msgs.msg import Detection2D
from vision_msgs.msg import Detection2DArray
from vision_msgs.msg import ObjectHypothesisWithPose

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runtime.header import Header
    from gpu_runtime.image_format import ImageFormat

NANOSECONDS = 10**9


def header_message(header: Header) -> HeaderMessage:
    """
    Return a header as a message.

    Parameters
    ----------
    header : Header
        Of the source image.

    Returns
    -------
    std_msgs.msg.Header
        The same stamp and frame.

    """
    seconds, nanoseconds = divmod(header.stamp_ns, NANOSECONDS)
    return HeaderMessage(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=header.frame_id)


def image_message(header: Header, format: ImageFormat, data: NDArray[Any]) -> Image:
    """
    Return a picture as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    format : ImageFormat
        Size, encoding and step.
    data : numpy.ndarray
        uint8 (format.nbytes,); the message refers to it until it is serialised.

    Returns
    -------
    sensor_msgs.msg.Image
        To be published before ``data`` is given back.

    """
    message = Image(
        header=header_message(header),
        height=format.height,
        width=format.width,
        encoding=format.encoding,
        step=format.step,
    )
    # The public setter loops over every byte; serialisation reads any contiguous uint8 array.
    message._data = data
    return message


def detections_message(
    header: Header,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: Iterable[str],
) -> Detection2DArray:
    """
    Return detections as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    boxes : numpy.ndarray
        float32 (N, 4): left, top, right, bottom in pixels of the source, x right, y down.
    scores : numpy.ndarray
        float32 (N,), 0 to 1.
    classes : iterable of str
        N class names or numbers.

    Returns
    -------
    vision_msgs.msg.Detection2DArray
        Centre and size of each box in pixels; the pose is left at its default.

    """
    stamp = header_message(header)
    rows = zip(boxes.tolist(), scores.tolist(), classes, strict=True)
    return Detection2DArray(
        header=stamp,
        detections=[_detection(stamp, box, score, name) for box, score, name in rows],
    )


def _detection(
    header: HeaderMessage, box: list[float], score: float, class_id: str
) -> Detection2D:
    left, top, right, bottom = box
    message = Detection2D(header=header)
    message.bbox.center.position.x = (left + right) / 2
    message.bbox.center.position.y = (top + bottom) / 2
    message.bbox.size_x = right - left
    message.bbox.size_y = bottom - top
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = class_id
    result.hypothesis.score = score
    message.results = [result]
    return message
