# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishes serialized messages without the interpreter lock.

``Publisher.publish`` of rclpy holds the lock while the middleware copies a picture twice and tells
the readers; ``rcl``, which it calls, needs no Python.  Pieces are put together in memory that is
kept, by numpy, which lets go of the lock as well.
"""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from gpu_components import rcl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.serialized import Serialized


_PAGE = 4096


class RawSender:
    """Publishes serialized messages; of one thread."""

    def __init__(self) -> None:
        self._scratch: NDArray[np.uint8] = np.empty(0, np.uint8)

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
        data = self.joined(message)
        rcl.publish(publisher, data.ctypes.data, data.nbytes)

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
            uint8 (n,), overwritten by the next call; the lock is free while bytes are copied.

        """
        parts = [np.frombuffer(part, np.uint8) for part in message.parts]
        if len(parts) == 1:
            return parts[0]
        nbytes = sum(part.nbytes for part in parts)
        if nbytes > self._scratch.nbytes:
            self._scratch = _half_a_page_off(nbytes)
        at = 0
        for part in parts:
            np.copyto(self._scratch[at : at + part.nbytes], part)
            at += part.nbytes
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
