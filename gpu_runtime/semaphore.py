# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A POSIX semaphore, which the device can post without Python."""

from __future__ import annotations

import ctypes
import errno
import time

from gpu_runtime.errors import GpuPerceptionError

_LIBC = ctypes.CDLL(None, use_errno=True)
_BRIEF = ctypes.PyDLL(None)
"""The same for what does not wait: who is woken gets the interpreter lock later (decision 020)."""

_NBYTES = 64
"""More than ``sem_t`` has anywhere: 32 bytes in glibc and in musl on 64 bits."""


class _TimeSpec(ctypes.Structure):
    """``struct timespec``."""

    _fields_ = (('seconds', ctypes.c_long), ('nanoseconds', ctypes.c_long))


class Semaphore:
    """
    Counts signals; its memory stays for as long as the process, since the device may still post.

    Attributes
    ----------
    address : int
        Of the ``sem_t``.
    post_address : int
        Of ``sem_post``, which takes :attr:`address`.

    """

    def __init__(self) -> None:
        self._memory = (ctypes.c_char * _NBYTES)()
        _KEPT.append(self._memory)
        self.address = ctypes.addressof(self._memory)
        self._pointer = ctypes.c_void_p(self.address)
        if _LIBC.sem_init(self._pointer, 0, 0) != 0:
            raise GpuPerceptionError(f'no semaphore: errno {ctypes.get_errno()}')
        self.post_address = ctypes.cast(_LIBC.sem_post, ctypes.c_void_p).value or 0

    def post(self) -> None:
        """Let one that waits go on, now or later."""
        _BRIEF.sem_post(self._pointer)

    def wait(self, timeout_s: float) -> bool:
        """
        Wait for a signal, without the interpreter lock; one that came already is taken under it.

        Parameters
        ----------
        timeout_s : float
            Longest wait, in seconds of the wall clock.

        Returns
        -------
        bool
            False after the timeout.

        """
        if _BRIEF.sem_trywait(self._pointer) == 0:
            return True
        end_s = time.time() + timeout_s
        until = _TimeSpec(int(end_s), int(end_s % 1.0 * 1e9))
        while _LIBC.sem_timedwait(self._pointer, ctypes.byref(until)) != 0:
            if ctypes.get_errno() != errno.EINTR:
                return False
        return True


_KEPT: list[object] = []
