# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Where serialized messages are put when they are taken: memory that the device can read."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from gpu_components import rcl

if TYPE_CHECKING:
    from gpu_runtime.event import Event
    from gpu_runtime.pinned_pool import PinnedPool
    from gpu_runtime.pinned_slab import PinnedSlab

_PAGE = 4096

_SIZE_BITS = 4
"""Significant bits that the size of memory has at most: few sizes, and little is wasted."""


class MessageMemory:
    """
    Memory for the messages of one subscription, one at a time; of one thread.

    It has the size of the largest message so far.

    Parameters
    ----------
    subscription : rclpy.subscription.Subscription
        Whose handle the caller has entered when it calls :meth:`take`.
    pool : PinnedPool
        Where memory comes from: page-locked, if the device can read such.

    """

    def __init__(self, subscription: Any, pool: PinnedPool) -> None:
        self._subscription = subscription
        self._topic = str(subscription.topic_name)  # not to be had of one that was destroyed
        self._pool = pool
        self._nbytes = _PAGE
        self._slab: PinnedSlab | None = None
        self._message = rcl.message(self._grow)

    def take(self) -> memoryview | None:
        """
        Take the next message; does not wait for one.

        Returns
        -------
        memoryview or None
            Bytes, read-only, valid until they are given back by :meth:`release`; None if there
            was no message.

        Raises
        ------
        RuntimeError
            If the middleware fails, or there is no memory: the message is lost then.

        """
        self._lease()
        taken = None
        try:
            taken = rcl.take(self._subscription, self._message, self._topic)
        finally:
            if taken is None:
                self.release()
        return taken

    def release(self, until: Event | None = None) -> None:
        """
        Give the last message back.

        Parameters
        ----------
        until : Event or None
            It is read until this has passed; None if it is not read any more.

        """
        slab, self._slab = self._slab, None
        if slab is not None:
            self._pool.release(slab, until)

    def _lease(self) -> int:
        slab = self._slab = self._pool.lease(self._nbytes, self._topic)
        self._message.buffer, self._message.capacity = slab.address, slab.nbytes
        return slab.address

    def _grow(self, _address: int, nbytes: int, _state: int) -> int | None:
        """Do as ``realloc``, but for what the memory holds: nothing yet when a message comes."""
        step = max(_PAGE, 1 << max(0, nbytes.bit_length() - _SIZE_BITS))
        self.release()
        before, self._nbytes = self._nbytes, -(-nbytes // step) * step
        try:
            return self._lease()
        except Exception:  # the middleware tells that there was no memory
            self._nbytes = before
            return None
