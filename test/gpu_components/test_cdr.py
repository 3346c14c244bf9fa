# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The CDR header parser agrees with rclpy's own serializer and survives hostile bytes."""

from __future__ import annotations

import array
import random
import struct

import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image

from gpu_components.cdr import CdrError
from gpu_components.cdr import ImageHeader
from gpu_components.cdr import parse_compressed_header
from gpu_components.cdr import parse_image_header
from gpu_components.cdr import parse_stamp_ns


def image(
    frame_id: str = 'camera',
    encoding: str = 'rgb8',
    width: int = 4,
    height: int = 3,
    step: int = 12,
    nbytes: int = 36,
) -> Image:
    message = Image()
    message.header.stamp.sec = 1_700_000_000
    message.header.stamp.nanosec = 123_456_789
    message.header.frame_id = frame_id
    message.encoding = encoding
    message.width = width
    message.height = height
    message.step = step
    message.data = array.array('B', (i & 0xFF for i in range(nbytes)))
    return message


def assert_same(header: ImageHeader, message: Image, raw: bytes) -> None:
    stamp = message.header.stamp
    assert header.stamp_ns == stamp.sec * 10**9 + stamp.nanosec
    assert header.frame_id == message.header.frame_id
    assert (header.width, header.height) == (message.width, message.height)
    assert header.encoding == message.encoding
    assert header.is_bigendian == bool(message.is_bigendian)
    assert header.step == message.step
    assert header.data_nbytes == len(message.data)
    payload = raw[header.data_offset : header.data_offset + header.data_nbytes]
    assert payload == bytes(message.data)


def big_endian(message: Image, options: bytes = b'\0\0') -> bytes:
    """Serialize by hand: the local middleware only writes the byte order of this machine."""
    stamp = message.header.stamp
    out = bytearray(struct.pack('>iI', stamp.sec, stamp.nanosec))

    def put(form: str, *values: int) -> None:
        out.extend(bytes(-len(out) % 4) + struct.pack(form, *values))

    def put_text(text: str) -> None:
        put('>I', len(text.encode()) + 1)
        out.extend(text.encode() + b'\0')

    put_text(message.header.frame_id)
    put('>II', message.height, message.width)
    put_text(message.encoding)
    out.append(message.is_bigendian)
    put('>II', message.step, len(message.data))
    return b'\0\0' + options + bytes(out) + bytes(message.data)


@pytest.mark.parametrize('encoding', ['', 'rgb8', 'bgra8', '32FC1', 'bayer_rggb8', 'yuv422_yuy2'])
@pytest.mark.parametrize('length', range(10))
def test_agrees_with_rclpy_at_every_alignment(length: int, encoding: str) -> None:
    message = image(frame_id='c' * length, encoding=encoding)
    raw = serialize_message(message)
    assert_same(parse_image_header(raw), message, raw)
    assert_same(parse_image_header(memoryview(raw)), message, raw)
    swapped = big_endian(message)
    assert_same(parse_image_header(swapped), message, swapped)


@pytest.mark.parametrize('size', [(0, 0, 0, 0), (1, 1, 1, 1), (640, 480, 1920, 921600)])
def test_agrees_with_rclpy_at_every_size(size: tuple[int, int, int, int]) -> None:
    width, height, step, nbytes = size
    message = image(width=width, height=height, step=step, nbytes=nbytes)
    message.is_bigendian = 1
    raw = serialize_message(message)
    assert_same(parse_image_header(raw), message, raw)


def test_unicode_frame_and_negative_seconds() -> None:
    message = image(frame_id='kamera_größe_カメラ')
    message.header.stamp.sec = -2
    raw = serialize_message(message)
    assert_same(parse_image_header(raw), message, raw)
    assert parse_stamp_ns(raw) == -2 * 10**9 + 123_456_789


def test_stamp_needs_nothing_behind_it() -> None:
    raw = serialize_message(image())
    assert parse_stamp_ns(raw[:12]) == parse_image_header(raw).stamp_ns
    with pytest.raises(CdrError, match=r'header\.stamp at byte 4: expected 8 bytes, got 7'):
        parse_stamp_ns(raw[:11])


def test_every_truncation_is_refused() -> None:
    raw = serialize_message(image())
    header = parse_image_header(raw)
    for end in range(header.data_offset + header.data_nbytes):
        with pytest.raises(CdrError, match='expected'):
            parse_image_header(raw[:end])
        with pytest.raises(CdrError, match='expected'):
            parse_image_header(memoryview(raw)[:end])


def patched(raw: bytes, at: int, value: bytes) -> bytes:
    return raw[:at] + value + raw[at + len(value) :]


@pytest.mark.parametrize(
    ('at', 'value', 'words'),
    [
        (0, b'\x00\x03', 'encapsulation at byte 0: .* got 0003'),
        (0, b'\xff\xff', 'encapsulation at byte 0: .* got ffff'),
        (8, struct.pack('<I', 10**9), r'header.stamp.nanosec at byte 8: .* got 1000000000'),
        (12, struct.pack('<I', 2**32 - 1), 'header.frame_id length at byte 12: .* got 4294967295'),
        (12, struct.pack('<i', -1), 'header.frame_id length at byte 12'),
        (12, struct.pack('<I', 1000), 'header.frame_id at byte 16: expected 1000 bytes'),
        (22, b'x', 'header.frame_id at byte 16: expected one NUL'),
        (18, b'\x00', 'header.frame_id at byte 16: expected one NUL'),
        (16, b'\xff', 'header.frame_id at byte 16: expected UTF-8'),
        (48, struct.pack('<I', 0x7FFFFFFF), 'data at byte 52: expected 2147483647 bytes, got 36'),
    ],
)
def test_names_the_field_the_place_and_the_finding(at: int, value: bytes, words: str) -> None:
    raw = serialize_message(image())
    with pytest.raises(CdrError, match=words):
        parse_image_header(patched(raw, at, value))


def test_error_is_the_standard_one_too() -> None:
    with pytest.raises(ValueError, match='encapsulation header'):
        parse_image_header(b'')


def test_refuses_a_view_that_is_not_single_contiguous_bytes() -> None:
    raw = serialize_message(image())
    for view in (memoryview(raw)[::2], memoryview(raw[:64]).cast('I')):
        with pytest.raises(CdrError, match='contiguous bytes'):
            parse_image_header(view)


def mutations(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    good = [
        write(image(frame_id='f' * length, nbytes=nbytes))
        for length in (0, 5, 20)
        for nbytes in (0, 36)
        for write in (serialize_message, big_endian)
    ]
    out: list[bytes] = []
    while len(out) < count:
        raw = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 6)):
            raw[rng.randrange(len(raw))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        kind = rng.randrange(3)
        if kind == 1:
            del raw[rng.randrange(len(raw)) :]
        elif kind == 2:
            raw[rng.randrange(8) :] = rng.randbytes(rng.randrange(90))
        out.append(bytes(raw))
    return out


def test_fuzz_gives_a_consistent_header_or_a_cdr_error() -> None:
    accepted = 0
    for raw in mutations(20_000, seed=61):
        try:
            header = parse_image_header(raw)
        except CdrError:
            continue
        accepted += 1
        assert 0 < header.data_offset <= header.data_offset + header.data_nbytes <= len(raw)
        assert header.stamp_ns == parse_stamp_ns(raw)
        assert min(header.height, header.width, header.step) >= 0
    assert 100 < accepted < 19_000  # both branches were really exercised


@pytest.mark.parametrize('form', ['', 'png', 'rgb8; jpeg compressed bgr8'])
@pytest.mark.parametrize('length', range(5))
def test_compressed_agrees_with_rclpy_at_every_alignment(length: int, form: str) -> None:
    message = CompressedImage(format=form)
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 123_456_789
    message.header.frame_id = 'c' * length
    message.data = b'picture'
    raw = serialize_message(message)
    header = parse_compressed_header(memoryview(raw))
    assert header.stamp_ns == 1_700_000_000_123_456_789
    assert (header.frame_id, header.format) == ('c' * length, form)
    assert raw[header.data_offset : header.data_offset + header.data_nbytes] == b'picture'
    for end in range(header.data_offset + header.data_nbytes):
        with pytest.raises(CdrError):
            parse_compressed_header(raw[:end])
