# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishes serialized messages without the interpreter lock.

``Publisher.publish`` of rclpy holds the lock while the middleware copies a picture twice and tells
the readers; ``rcl``, which it calls, needs no Python.  A picture stays where it was downloaded to,
and gets the head of its message put in front.
"""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from gpu_components import rcl
from gpu_runtime.pinned_slab import ROOM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.serialized import Serialized
    from gpu_runtime.download import Download


class RawSender:
    """Publishes serialized messages; of one thread."""

    def __init__(self) -> None:
        self._scratch: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._address = 0

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
        rcl.publish(publisher, *self.joined(message, download))

    def joined(self, message: Serialized, download: Download) -> tuple[int, int]:
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
        address : int
            Of the first byte; overwritten by the next call.
        nbytes : int
            Its length.  The lock is free while arrays are copied.

        """
        *head, last = message.parts
        for array, slab in zip(download.arrays, download.slabs, strict=True):
            if array is last and sum(map(len, head)) <= ROOM:
                return slab.behind(b''.join(map(bytes, head)))
        return self._copied(message)

    def _copied(self, message: Serialized) -> tuple[int, int]:
        nbytes = sum(map(len, message.parts))
        if nbytes > self._scratch.nbytes:
            self._scratch = np.empty(nbytes, np.uint8)
            self._address = self._scratch.ctypes.data
        at = 0
        for part in message.parts:
            end = at + len(part)
            if isinstance(part, bytes):
                self._scratch.data[at:end] = part
            else:
                self._scratch[at:end] = part
            at = end
        return self._address, nbytes
