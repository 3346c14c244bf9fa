# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Headers and pictures as ROS messages."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Any
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from std_msgs.msg import Header as HeaderMessage

from gpu_components.serialized import ENCAPSULATION
from gpu_components.serialized import header_cdr
from gpu_components.serialized import NANOSECONDS
from gpu_components.serialized import padded
from gpu_components.serialized import Serialized
from gpu_components.serialized import text_cdr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runtime.header import Header
    from gpu_runtime.image_format import ImageFormat

_TWO = Struct('<II')
_REMEMBERED = 64
"""Kinds of pictures: some for each output."""


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


def image_message(header: Header, format: ImageFormat, data: NDArray[Any]) -> Serialized:
    """
    Return a picture as a message.

    Parameters
    ----------
    header : Header
        Of the source image.
    format : ImageFormat
        Size, encoding and step.
    data : numpy.ndarray
        uint8 (format.nbytes,), multi-byte pixels little endian; the message refers to it until it
        is published.

    Returns
    -------
    Serialized
        A sensor_msgs/Image.  To be published before ``data`` is given back.

    """
    return Serialized(ENCAPSULATION + header_cdr(header) + _fields_cdr(format, data.nbytes), data)


@lru_cache(maxsize=_REMEMBERED)
def _fields_cdr(format: ImageFormat, nbytes: int) -> bytes:
    """Return what lies between header and pixels."""
    size = _TWO.pack(format.height, format.width)
    fields = padded(text_cdr(format.encoding) + b'\0', 4)  # the byte says: not big endian
    return size + fields + _TWO.pack(format.step, nbytes)
