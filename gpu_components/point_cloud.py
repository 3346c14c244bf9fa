# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Coloured points as a serialized message."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from sensor_msgs.msg import PointField

from gpu_components.serialized import ENCAPSULATION
from gpu_components.serialized import header_cdr
from gpu_components.serialized import padded
from gpu_components.serialized import Serialized
from gpu_components.serialized import text_cdr
from gpu_runtime.depth import POINT_NBYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpu_runtime.header import Header

FIELDS = ('x', 'y', 'z', 'rgb')
"""Four bytes each, all declared float32: ``rgb`` holds the bits 0x00RRGGBB, as PCL and RViz do."""

_FIELD = Struct('<IB3xI')
"""Offset, type and count."""
_FIELDS = b''.join(
    padded(text_cdr(name), 4) + _FIELD.pack(4 * index, PointField.FLOAT32, 1)
    for index, name in enumerate(FIELDS)
)
_SIZE = Struct('<3I')
"""Height, width and the number of fields."""
_STEPS = Struct('<B3x3I')
"""Not big endian; bytes of a point, of a row, of all."""
_NOT_DENSE = b'\0'


def point_cloud_message(header: Header, points: NDArray[np.int32]) -> Serialized:
    """
    Return organised points as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    points : numpy.ndarray
        int32 (rows, columns, 4), as ``gpu_runtime.depth.organised_points`` packs them, little
        endian; the message refers to them until it is published.

    Returns
    -------
    Serialized
        A sensor_msgs/PointCloud2, not dense: x, y and z are NaN where depth is invalid.  To be
        published before ``points`` is given back.

    """
    rows, columns, _ = points.shape
    size = _SIZE.pack(rows, columns, len(FIELDS))
    steps = _STEPS.pack(0, POINT_NBYTES, POINT_NBYTES * columns, points.nbytes)
    head = b''.join((ENCAPSULATION, header_cdr(header), size, _FIELDS, steps))
    return Serialized(head, points.reshape(-1).view('uint8'), _NOT_DENSE)
