# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishes serialized messages without the interpreter lock.

``Publisher.publish`` of rclpy holds the lock while the middleware copies a picture twice and tells
the readers; ``rcl``, which it calls, needs no Python.  Pieces are put together in memory that is
kept, by numpy, which lets go of the lock as well.
"""

from __future__ import annotations

import ctypes
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.serialized import Serialized


_PAGE = 4096


class _SerializedMessage(ctypes.Structure):
    """``rcl_serialized_message_t``, of which rcl reads buffer and length only."""

    _fields_ = (
        ('buffer', ctypes.c_void_p),
        ('length', ctypes.c_size_t),
        ('capacity', ctypes.c_size_t),
        ('allocator', ctypes.c_void_p * 5),
    )


class _ErrorText(ctypes.Structure):
    """``rcutils_error_string_t``."""

    _fields_ = (('text', ctypes.c_char * 1024),)


# The library that rclpy runs on: its dependencies are searched too, wherever they are installed.
_RCL = ctypes.CDLL(rclpy_implementation.__file__)
_RCL.rcl_publish_serialized_message.argtypes = (ctypes.c_void_p,) * 3
_RCL.rcutils_get_error_string.restype = _ErrorText


class RawSender:
    """Publishes serialized messages; of one thread."""

    def __init__(self) -> None:
        self._scratch: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._raw = _SerializedMessage()
        self._raw_address = ctypes.addressof(self._raw)

    def send(self, publisher: Any, message: Serialized) -> None:
        """
        Publish a message.

        Parameters
        ----------
        publisher : rclpy.publisher.Publisher
            Of the message's type: nobody checks.
        message : Serialized
            Copied before the call returns.  Blocks as ``publish`` does.

        Raises
        ------
        RuntimeError
            If the middleware refuses it.

        """
        self._raw.length = self._raw.capacity = self.joined(message).nbytes
        handle = publisher.handle
        with handle:
            status = _RCL.rcl_publish_serialized_message(handle.pointer, self._raw_address, None)
        if status != 0:
            text = _RCL.rcutils_get_error_string().text.decode(errors='replace')
            _RCL.rcutils_reset_error()
            raise RuntimeError(f'{publisher.topic_name} was not published: {text}')

    def joined(self, message: Serialized) -> NDArray[np.uint8]:
        """
        Put a message together.

        Parameters
        ----------
        message : Serialized
            Of any type.

        Returns
        -------
        numpy.ndarray
            uint8 (n,), overwritten by the next call; the lock is free while arrays are copied.

        """
        nbytes = sum(map(len, message.parts))
        if nbytes > self._scratch.nbytes:
            self._scratch = _half_a_page_off(nbytes)
            self._raw.buffer = self._scratch.ctypes.data
        at = 0
        for part in message.parts:
            end = at + len(part)
            if isinstance(part, bytes):
                self._scratch.data[at:end] = part
            else:
                self._scratch[at:end] = part
            at = end
        return self._scratch[:nbytes]


def _half_a_page_off(nbytes: int) -> NDArray[np.uint8]:
    """
    Return memory that begins in the middle of a page.

    The middleware's own begins where malloc puts large blocks, 16 bytes into a page.  Where source
    and target have the same place in their pages, ``rep movsb``, and with it memcpy, takes five
    times as long on some processors (measured on an EPYC).
    """
    memory = np.empty(nbytes + _PAGE, np.uint8)
    skipped = (_PAGE // 2 - memory.ctypes.data) % _PAGE
    return memory[skipped : skipped + nbytes]
