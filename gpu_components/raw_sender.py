# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishes serialized messages without the interpreter lock.

``Publisher.publish`` of rclpy holds the lock while the middleware copies a picture twice and tells
the readers; ``rcl``, which it calls, needs no Python.  A picture stays where it was downloaded to,
and gets the head of its message put in front.
"""

from __future__ import annotations

import ctypes
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation

from gpu_runtime.pinned_slab import ROOM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.serialized import Serialized
    from gpu_runtime.download import Download


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

    def send(self, publisher: Any, message: Serialized, download: Download) -> None:
        """
        Publish a message.

        Parameters
        ----------
        publisher : rclpy.publisher.Publisher
            Of the message's type: nobody checks.
        message : Serialized
            Copied before the call returns.  Blocks as ``publish`` does.
        download : Download
            What the message was made of.

        Raises
        ------
        RuntimeError
            If the middleware refuses it.

        """
        data = self.joined(message, download)
        self._raw.buffer = data.__array_interface__['data'][0]
        self._raw.length = self._raw.capacity = data.nbytes
        handle = publisher.handle
        with handle:
            status = _RCL.rcl_publish_serialized_message(handle.pointer, self._raw_address, None)
        if status != 0:
            text = _RCL.rcutils_get_error_string().text.decode(errors='replace')
            _RCL.rcutils_reset_error()
            raise RuntimeError(f'{publisher.topic_name} was not published: {text}')

    def joined(self, message: Serialized, download: Download) -> NDArray[np.uint8]:
        """
        Put a message together: where its last part was downloaded to, or in memory that is kept.

        Parameters
        ----------
        message : Serialized
            Of any type.
        download : Download
            What it was made of; not released before the message is done with.

        Returns
        -------
        numpy.ndarray
            uint8 (n,), overwritten by the next call; the lock is free while arrays are copied.

        """
        *head, last = message.parts
        for array, slab in zip(download.arrays, download.slabs, strict=True):
            if array is last and sum(map(len, head)) <= ROOM:
                return slab.behind(b''.join(map(bytes, head)))
        return self._copied(message)

    def _copied(self, message: Serialized) -> NDArray[np.uint8]:
        nbytes = sum(map(len, message.parts))
        if nbytes > self._scratch.nbytes:
            self._scratch = np.empty(nbytes, np.uint8)
        at = 0
        for part in message.parts:
            end = at + len(part)
            if isinstance(part, bytes):
                self._scratch.data[at:end] = part
            else:
                self._scratch[at:end] = part
            at = end
        return self._scratch[:nbytes]
