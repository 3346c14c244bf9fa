# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What is called of rcl itself, because rclpy would hold the interpreter lock meanwhile.

The lock is free during each call.  The structs are those of every distribution since Foxy.
"""

from __future__ import annotations

import ctypes
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation

_TAKE_FAILED = 401  # RCL_RET_SUBSCRIPTION_TAKE_FAILED: there was nothing to take
_READ_ONLY = 0x100  # PyBUF_READ
_PAGE = 4096


class _Allocator(ctypes.Structure):
    """``rcutils_allocator_t``: four functions and their state."""

    _fields_ = (('functions', ctypes.c_void_p * 4), ('state', ctypes.c_void_p))


class _SerializedMessage(ctypes.Structure):
    """``rcl_serialized_message_t``."""

    _fields_ = (
        ('buffer', ctypes.c_void_p),
        ('length', ctypes.c_size_t),
        ('capacity', ctypes.c_size_t),
        ('allocator', _Allocator),
    )


class _ErrorText(ctypes.Structure):
    """``rcutils_error_string_t``."""

    _fields_ = (('text', ctypes.c_char * 1024),)


# The library that rclpy runs on: its dependencies are searched too, wherever they are installed.
_RCL = ctypes.CDLL(rclpy_implementation.__file__)
_MESSAGE = ctypes.POINTER(_SerializedMessage)
_RCL.rcl_publish_serialized_message.argtypes = (ctypes.c_void_p, _MESSAGE, ctypes.c_void_p)
_RCL.rcl_take_serialized_message.argtypes = (
    ctypes.c_void_p,
    _MESSAGE,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_RCL.rcutils_get_default_allocator.restype = _Allocator
_RCL.rcutils_uint8_array_init.argtypes = (_MESSAGE, ctypes.c_size_t, ctypes.POINTER(_Allocator))
_RCL.rcutils_uint8_array_fini.argtypes = (_MESSAGE,)
_RCL.rcutils_get_error_string.restype = _ErrorText
# The same function object would have other types elsewhere in the process: this one is ours.
_view = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ('PyMemoryView_FromMemory', ctypes.pythonapi)
)


def publish(publisher: Any, address: int, nbytes: int) -> None:
    """
    Publish a serialized message.

    Parameters
    ----------
    publisher : rclpy.publisher.Publisher
        Of the message's type: nobody checks.
    address : int
        Of its first byte; read before the call returns.
    nbytes : int
        Its length.

    Raises
    ------
    RuntimeError
        If the middleware refuses it.

    """
    message = _SerializedMessage(address, nbytes, nbytes)
    with publisher.handle:
        status = _RCL.rcl_publish_serialized_message(publisher.handle.pointer, message, None)
    if status != 0:
        raise RuntimeError(f'{publisher.topic_name} was not published: {_error_text()}')


class MessageMemory:
    """
    Memory for one serialized message at a time, kept from one to the next; of one thread.

    The middleware makes it larger when a message needs it; it never shrinks.

    Raises
    ------
    RuntimeError
        If rcl refuses it.

    """

    def __init__(self) -> None:
        self._message = _SerializedMessage()
        allocator = _RCL.rcutils_get_default_allocator()
        if _RCL.rcutils_uint8_array_init(self._message, _PAGE, allocator) != 0:
            raise RuntimeError(f'no memory for messages: {_error_text()}')

    def take(self, subscription: Any) -> memoryview | None:
        """
        Take the next message of a subscription; does not wait for one.

        Parameters
        ----------
        subscription : rclpy.subscription.Subscription
            Whose handle the caller has entered.

        Returns
        -------
        memoryview or None
            Bytes, read-only, valid until the next call; None if there was no message.

        Raises
        ------
        RuntimeError
            If the middleware fails.

        """
        message = self._message
        status = _RCL.rcl_take_serialized_message(subscription.handle.pointer, message, None, None)
        if status == _TAKE_FAILED:
            _RCL.rcutils_reset_error()
            return None
        if status != 0:
            raise RuntimeError(f'{subscription.topic_name} was not taken: {_error_text()}')
        view: memoryview = _view(message.buffer, message.length, _READ_ONLY)
        return view

    def close(self) -> None:
        """Free the memory; what :meth:`take` returned is not valid any more."""
        _RCL.rcutils_uint8_array_fini(self._message)


def _error_text() -> str:
    text: str = _RCL.rcutils_get_error_string().text.decode(errors='replace')
    _RCL.rcutils_reset_error()
    return text
