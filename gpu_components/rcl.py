# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What is called of rcl itself, because rclpy would hold the interpreter lock meanwhile.

The lock is free during each call.  The structs are those of every distribution since Foxy.
"""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation

_TAKE_FAILED = 401  # RCL_RET_SUBSCRIPTION_TAKE_FAILED: there was nothing to take
_READ_ONLY = 0x100  # PyBUF_READ


_Deallocate = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_Reallocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class _Allocator(ctypes.Structure):
    """``rcutils_allocator_t``: four functions and their state."""

    _fields_ = (
        ('allocate', ctypes.c_void_p),
        ('deallocate', _Deallocate),
        ('reallocate', _Reallocate),
        ('zero_allocate', ctypes.c_void_p),
        ('state', ctypes.c_void_p),
    )


class SerializedMessage(ctypes.Structure):
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
_MESSAGE = ctypes.POINTER(SerializedMessage)
_RCL.rcl_publish_serialized_message.argtypes = (ctypes.c_void_p, _MESSAGE, ctypes.c_void_p)
_RCL.rcl_take_serialized_message.argtypes = (
    ctypes.c_void_p,
    _MESSAGE,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_RCL.rcutils_get_default_allocator.restype = _Allocator
_RCL.rcutils_get_error_string.restype = _ErrorText
# The same function object would have other types elsewhere in the process: this one is ours.
_view = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ('PyMemoryView_FromMemory', ctypes.pythonapi)
)


_nothing = _Deallocate(lambda address, state: None)  # rcl calls it where larger memory is refused


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
    sent = SerializedMessage(address, nbytes, nbytes)
    with publisher.handle:
        status = _RCL.rcl_publish_serialized_message(publisher.handle.pointer, sent, None)
    if status != 0:
        raise RuntimeError(f'{publisher.topic_name} was not published: {_error_text()}')


def message(reallocate: Callable[[int, int, int], int | None]) -> SerializedMessage:
    """
    Return a message that is to be taken, without memory.

    Parameters
    ----------
    reallocate : callable
        Gets the address of the old memory, the bytes that are needed, and a state that is not
        used; returns the address of the new memory, or None if there is none.  It takes care of
        the old memory itself, in both cases.

    Returns
    -------
    SerializedMessage
        The caller sets ``buffer`` and ``capacity`` before each take.

    """
    made = SerializedMessage()
    made.allocator = _RCL.rcutils_get_default_allocator()
    made.allocator.deallocate = _nothing
    made.allocator.reallocate = _Reallocate(reallocate)
    return made


def take(subscription: Any, into: SerializedMessage, topic: str) -> memoryview | None:
    """
    Take the next message of a subscription; does not wait for one.

    Parameters
    ----------
    subscription : rclpy.subscription.Subscription
        Whose handle the caller has entered.
    into : SerializedMessage
        As :func:`message` returned it, with memory.
    topic : str
        Named if it fails.

    Returns
    -------
    memoryview or None
        Bytes, read-only, valid as long as the memory; None if there was no message.

    Raises
    ------
    RuntimeError
        If the middleware fails, or there is no memory: the message is lost then.

    """
    status = _RCL.rcl_take_serialized_message(subscription.handle.pointer, into, None, None)
    if status == 0:
        view: memoryview = _view(into.buffer, into.length, _READ_ONLY)
        return view
    if status != _TAKE_FAILED:
        raise RuntimeError(f'{topic} was not taken: {_error_text()}')
    _RCL.rcutils_reset_error()
    return None


def _error_text() -> str:
    text: str = _RCL.rcutils_get_error_string().text.decode(errors='replace')
    _RCL.rcutils_reset_error()
    return text
