# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Classes and their scores as ROS messages and as text on a picture, on the egress thread."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

import cv2
import numpy as np
from vision_msgs.msg import Classification
from vision_msgs.msg import ObjectHypothesis
from vision_msgs.msg import ObjectHypothesisWithPose

from gpu_components.messages import detections_message
from gpu_components.messages import header_message
from gpu_components.overlay import FONT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from vision_msgs.msg import Detection2DArray

    from gpu_runtime.header import Header
    from gpu_runtime.image_format import ImageFormat

Named = list[tuple[str, float]]
"""Classes with their scores, the best first."""


def classification_message(header: Header, classes: Named) -> Classification:
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
    vision_msgs.msg.Classification
        One hypothesis per class.

    """
    results = [ObjectHypothesis(class_id=name, score=score) for name, score in classes]
    return Classification(header=header_message(header), results=results)


def classified_message(
    header: Header, boxes: NDArray[np.float32], classes: Iterable[Named]
) -> Detection2DArray:
    """
    Return the classes of regions as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    boxes : numpy.ndarray
        float32 (N, 4): left, top, right, bottom in pixels of the source.
    classes : iterable of list of tuple
        For each box class and score, the best first; maybe none.

    Returns
    -------
    vision_msgs.msg.Detection2DArray
        One detection per box, with as many hypotheses as it has classes.

    """
    message = detections_message(
        header, boxes, np.zeros(len(boxes), np.float32), [''] * len(boxes)
    )
    for detection, named in zip(message.detections, classes, strict=True):
        detection.results = [
            ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
            for name, score in named
        ]
    return message


def draw_lines(data: NDArray[np.uint8], format: ImageFormat, classes: Named) -> NDArray[np.uint8]:
    """
    Return a copy of a picture with classes and scores in its upper left corner.

    Parameters
    ----------
    data : numpy.ndarray
        uint8 (format.nbytes,).
    format : ImageFormat
        How to read it: 8-bit colour or grey.
    classes : list of tuple
        Class and score, one line each.

    Returns
    -------
    numpy.ndarray
        uint8 (format.nbytes,) in the same encoding and step, owned by the caller.

    """
    copy = data[: format.nbytes].reshape(format.height, format.step).copy()
    pixels = copy[:, : format.row_nbytes].reshape(format.height, format.width, format.channels)
    canvas: Any = np.ascontiguousarray(pixels)
    scale = max(0.4, min(format.width, format.height) / 900)
    bottom = 0
    for name, score in classes:
        text, thickness = f'{name} {score:.2f}', max(1, round(2 * scale))
        (width, height), base = cv2.getTextSize(text, FONT, scale, thickness)
        top, bottom = bottom, bottom + height + 2 * base
        cv2.rectangle(canvas, (0, top), (width, bottom), (255,) * 4, cv2.FILLED)
        cv2.putText(
            canvas, text, (0, bottom - base), FONT, scale, (0, 0, 0, 255), thickness, cv2.LINE_AA
        )
    copy[:, : format.row_nbytes] = canvas.reshape(format.height, format.row_nbytes)
    return copy.reshape(-1)
