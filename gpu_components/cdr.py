# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Reads the header of a serialized picture without touching or copying its payload.

Who calls: the ingress thread, once per raw message: `parse_stamp_ns` first, to drop what is stale,
then `parse_image_header`; decoding threads, once per compressed one. All are pure functions of the
buffer and never read beyond it.

Source: OMG DDSI-RTPS 2.5, section 10 (encapsulation), OMG CORBA 3.3 part 2, 9.3 (CDR alignment).
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from gpu_runtime.errors import GpuPerceptionError

_BODY = 4  # CDR aligns from the first byte after the encapsulation header
_NAME_LIMIT = 4096  # bytes; a frame_id or encoding beyond it is a corrupt length, not a name
_NS_PER_S = 1_000_000_000


class CdrError(GpuPerceptionError, ValueError):
    """The bytes are not the serialized message that they should be."""


class ImageHeader(NamedTuple):
    """
    All of a `sensor_msgs/Image` but its pixels.

    The pixels are `buffer[data_offset:data_offset + data_nbytes]`, which is always inside the
    buffer. Whether `height`, `width` and `step` fit `data_nbytes` is not checked here.

    Attributes
    ----------
    stamp_ns : int
        Time of the source in nanoseconds.
    frame_id : str
        Coordinate frame of the source.
    height : int
        Rows, in pixels.
    width : int
        Columns, in pixels.
    encoding : str
        Pixel format as in `sensor_msgs/image_encodings.hpp`.
    is_bigendian : bool
        Byte order of multi-byte pixels.
    step : int
        Row length in bytes, as declared.
    data_offset : int
        Index of the first payload byte.
    data_nbytes : int
        Payload length in bytes.
    lasting : tuple of slice
        Where all that a camera repeats lies: the buffer without stamp, padding and pixels.

    """

    stamp_ns: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data_offset: int
    data_nbytes: int
    lasting: tuple[slice, ...]


class CompressedHeader(NamedTuple):
    """
    All of a `sensor_msgs/CompressedImage` but its picture.

    The picture is `buffer[data_offset:data_offset + data_nbytes]`, which is always inside the
    buffer.

    Attributes
    ----------
    stamp_ns : int
        Time of the source in nanoseconds.
    frame_id : str
        Coordinate frame of the source.
    format : str
        As the sender calls it, such as `jpeg`.
    data_offset : int
        Index of the first payload byte.
    data_nbytes : int
        Payload length in bytes.

    """

    stamp_ns: int
    frame_id: str
    format: str
    data_offset: int
    data_nbytes: int


class _Order(NamedTuple):
    """The readers of one byte order."""

    stamp: Struct
    uint32: Struct
    size: Struct


_ORDERS = {
    b'\x00\x00': _Order(Struct('>iI'), Struct('>I'), Struct('>II')),
    b'\x00\x01': _Order(Struct('<iI'), Struct('<I'), Struct('<II')),
}


def parse_stamp_ns(buffer: bytes | memoryview) -> int:
    """
    Read only the source's time, in nanoseconds, from a message that begins with a Header.

    Parameters
    ----------
    buffer : bytes or memoryview
        The serialized message with its encapsulation header; contiguous single bytes.

    Returns
    -------
    int
        `header.stamp` in nanoseconds.

    Raises
    ------
    CdrError
        If the encapsulation is not plain CDR, or the stamp is cut short or out of range.

    """
    nbytes = _byte_count(buffer)
    return _stamp_ns(buffer, nbytes, _byte_order(buffer, nbytes))


def parse_image_header(buffer: bytes | memoryview) -> ImageHeader:
    """
    Read everything but the pixels of a serialized `sensor_msgs/Image`.

    The payload is neither read nor copied; strings are copied.

    Parameters
    ----------
    buffer : bytes or memoryview
        The serialized message with its encapsulation header; contiguous single bytes.

    Returns
    -------
    ImageHeader
        Every field checked against the buffer.

    Raises
    ------
    CdrError
        If a field is cut short, out of range, or not what the encapsulation promises.

    """
    nbytes, order, stamp_ns, frame_id, frame_end = _begin(buffer)
    size_at = (frame_end + 3) & ~3
    if size_at + 8 > nbytes:
        raise _cut_short('height and width', nbytes, size_at, 8)
    height, width = order.size.unpack_from(buffer, size_at)
    encoding, order_at = _name(buffer, nbytes, size_at + 8, order, 'encoding')
    if order_at + 1 > nbytes:
        raise _cut_short('is_bigendian', nbytes, order_at, 1)
    is_bigendian = buffer[order_at] != 0
    at = (order_at + 4) & ~3
    if at + 8 > nbytes:
        raise _cut_short('step and data length', nbytes, at, 8)
    step, data_nbytes = order.size.unpack_from(buffer, at)
    at += 8
    if at + data_nbytes > nbytes:
        raise _cut_short('data', nbytes, at, data_nbytes)
    lasting = (
        slice(0, _BODY),
        slice(_BODY + 8, frame_end),
        slice(size_at, order_at + 1),
        slice(at - 8, at),
    )
    return ImageHeader(
        stamp_ns, frame_id, height, width, encoding, is_bigendian, step, at, data_nbytes, lasting
    )


def parse_compressed_header(buffer: bytes | memoryview) -> CompressedHeader:
    """
    Read everything but the picture of a serialized `sensor_msgs/CompressedImage`.

    The payload is neither read nor copied; strings are copied.

    Parameters
    ----------
    buffer : bytes or memoryview
        The serialized message with its encapsulation header; contiguous single bytes.

    Returns
    -------
    CompressedHeader
        Every field checked against the buffer.

    Raises
    ------
    CdrError
        If a field is cut short, out of range, or not what the encapsulation promises.

    """
    nbytes, order, stamp_ns, frame_id, at = _begin(buffer)
    form, at = _name(buffer, nbytes, (at + 3) & ~3, order, 'format')
    at = (at + 3) & ~3
    if at + 4 > nbytes:
        raise _cut_short('data length', nbytes, at, 4)
    data_nbytes: int = order.uint32.unpack_from(buffer, at)[0]
    at += 4
    if at + data_nbytes > nbytes:
        raise _cut_short('data', nbytes, at, data_nbytes)
    return CompressedHeader(stamp_ns, frame_id, form, at, data_nbytes)


def _begin(buffer: bytes | memoryview) -> tuple[int, _Order, int, str, int]:
    """Return length, byte order, stamp, frame, and where the Header's fields end."""
    nbytes = _byte_count(buffer)
    order = _byte_order(buffer, nbytes)
    stamp_ns = _stamp_ns(buffer, nbytes, order)
    return nbytes, order, stamp_ns, *_name(buffer, nbytes, _BODY + 8, order, 'header.frame_id')


def _byte_count(buffer: bytes | memoryview) -> int:
    if type(buffer) is bytes:
        return len(buffer)
    view = memoryview(buffer)
    if view.ndim != 1 or view.format != 'B' or not view.c_contiguous:
        raise CdrError(
            'serialized message: expected one row of contiguous bytes (memoryview format B), '
            f'got format {view.format}, shape {view.shape}, strides {view.strides}; '
            "pass bytes or memoryview(...).cast('B')"
        )
    return view.nbytes


def _byte_order(buffer: bytes | memoryview, nbytes: int) -> _Order:
    if nbytes < _BODY:
        raise _cut_short('encapsulation header', nbytes, 0, _BODY)
    order = _ORDERS.get(bytes(buffer[:2]))
    if order is None:
        raise CdrError(
            'encapsulation at byte 0: expected plain CDR (0000 big endian or 0001 little endian), '
            f'got {bytes(buffer[:2]).hex()}; choose a middleware that sends plain CDR'
        )
    return order


def _stamp_ns(buffer: bytes | memoryview, nbytes: int, order: _Order) -> int:
    if nbytes < _BODY + 8:
        raise _cut_short('header.stamp', nbytes, _BODY, 8)
    sec: int
    nanosec: int
    sec, nanosec = order.stamp.unpack_from(buffer, _BODY)
    if nanosec >= _NS_PER_S:
        raise CdrError(
            f'header.stamp.nanosec at byte {_BODY + 4}: expected less than {_NS_PER_S}, '
            f'got {nanosec}; the message is corrupt or its sender sets the stamp wrongly'
        )
    return sec * _NS_PER_S + nanosec


def _name(
    buffer: bytes | memoryview, nbytes: int, at: int, order: _Order, field: str
) -> tuple[str, int]:
    """Read the string at `at`, which is aligned; return it and the index after it."""
    start = at + 4
    if start > nbytes:
        raise _cut_short(f'{field} length', nbytes, at, 4)
    length: int = order.uint32.unpack_from(buffer, at)[0]
    if length == 0:  # some writers leave the NUL out of an empty string
        return '', start
    if length > _NAME_LIMIT:
        raise CdrError(
            f'{field} length at byte {at}: expected at most {_NAME_LIMIT} bytes, '
            f'got {length}; the message is corrupt or of another type'
        )
    end = start + length
    if end > nbytes:
        raise _cut_short(field, nbytes, start, length)
    raw = bytes(buffer[start:end])
    if raw.find(0) != length - 1:
        raise CdrError(
            f'{field} at byte {start}: expected one NUL, at the end of its {length} bytes, '
            f'got {raw[:32]!r}; the message is corrupt or of another type'
        )
    try:
        return raw[:-1].decode(), end
    except UnicodeDecodeError as error:
        raise CdrError(
            f'{field} at byte {start}: expected UTF-8, got {raw[:32]!r} ({error.reason}); '
            'set a valid name at the sender'
        ) from error


def _cut_short(field: str, nbytes: int, at: int, needed: int) -> CdrError:
    return CdrError(
        f'{field} at byte {at}: expected {needed} bytes, got {max(nbytes - at, 0)} of a '
        f'{nbytes} byte message; it is cut short, corrupt or of another type'
    )
