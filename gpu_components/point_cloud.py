# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Coloured points as a message."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from sensor_msgs.msg import PointCloud2
from sensor_msgs.msg import PointField

from gpu_components.messages import header_message
from gpu_runtime.depth import POINT_NBYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpu_runtime.header import Header

FIELDS = ('x', 'y', 'z', 'rgb')
"""Four bytes each, all declared float32: ``rgb`` holds the bits 0x00RRGGBB, as PCL and RViz do."""


def point_cloud_message(header: Header, points: NDArray[np.int32]) -> PointCloud2:
    """
    Return organised points as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    points : numpy.ndarray
        int32 (rows, columns, 4), as ``gpu_runtime.depth.organised_points`` packs them, little
        endian; the message refers to them until it is serialised.

    Returns
    -------
    sensor_msgs.msg.PointCloud2
        Not dense: x, y and z are NaN where depth is invalid.  To be published before ``points``
        is given back.

    """
    rows, columns, _ = points.shape
    message = PointCloud2(
        header=header_message(header),
        height=rows,
        width=columns,
        fields=_fields(),
        is_bigendian=False,
        point_step=POINT_NBYTES,
        row_step=POINT_NBYTES * columns,
        is_dense=False,
    )
    # The public setter loops over every byte; serialisation reads any contiguous uint8 array.
    message._data = points.reshape(-1).view('uint8')
    return message


def _fields() -> list[Any]:
    return [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(FIELDS)
    ]
