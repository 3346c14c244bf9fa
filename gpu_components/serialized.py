# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A message as the bytes that go out, and the strings and headers in it.

Results are written as CDR straight from arrays: a message object costs some ten times as much, in
itself and in its conversion, and all of that under the interpreter lock.

Source: OMG CORBA 3.3 part 2, 9.3 (CDR alignment); what ``serialize_message`` of rclpy gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpu_runtime.header import Header

ENCAPSULATION = b'\x00\x01\x00\x00'
"""Plain CDR, little endian; alignment counts from its end."""

NANOSECONDS = 10**9

_STAMP = Struct('<iI')
_UINT32 = Struct('<I')
_REMEMBERED = 64
"""Frames of cameras: some for each."""


@dataclass(frozen=True)
class Serialized:
    """
    A serialized message in pieces, so that a large one is put together once.

    Parameters
    ----------
    *parts : bytes or numpy.ndarray
        In order; bytes are short, arrays are uint8 (n,), contiguous, and referred to until they
        are published.

    """

    parts: tuple[bytes | NDArray[np.uint8], ...]

    def __init__(self, *parts: bytes | NDArray[np.uint8]) -> None:
        object.__setattr__(self, 'parts', parts)

    def __bytes__(self) -> bytes:
        """Return a copy in one piece, as ``deserialize_message`` takes it."""
        return b''.join(map(bytes, self.parts))


def padded(data: bytes, alignment: int, at: int = 0) -> bytes:
    """
    Return bytes with zeros behind them, as the next field needs.

    Parameters
    ----------
    data : bytes
        What is written.
    alignment : int
        Of the next field, in bytes.
    at : int
        Where the data begins, counted from a multiple of the alignment.

    Returns
    -------
    bytes
        Ends at a multiple of the alignment.

    """
    return data + bytes(-(at + len(data)) % alignment)


def text_cdr(text: str) -> bytes:
    """
    Return a string as it is written at a multiple of four bytes.

    Parameters
    ----------
    text : str
        Any text without NUL.

    Returns
    -------
    bytes
        Length, UTF-8, NUL; nothing behind that.

    """
    data = text.encode() + b'\0'
    return _UINT32.pack(len(data)) + data


def header_cdr(header: Header) -> bytes:
    """
    Return a header as it is written at a multiple of four bytes.

    Parameters
    ----------
    header : Header
        Of the source image.

    Returns
    -------
    bytes
        A std_msgs/Header, zeros behind it up to a multiple of four.

    """
    return _STAMP.pack(*divmod(header.stamp_ns, NANOSECONDS)) + _frame_cdr(header.frame_id)


@lru_cache(maxsize=_REMEMBERED)
def _frame_cdr(frame_id: str) -> bytes:
    return padded(text_cdr(frame_id), 4)
