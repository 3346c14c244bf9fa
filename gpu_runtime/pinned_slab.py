# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A lease on page-locked host memory."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from gpu_runtime.event import Event

if TYPE_CHECKING:
    from numpy.typing import NDArray
    import torch


_PAGE = 4096

ROOM = 1024
"""Bytes in front of those that are copied: for the head of the message that they become."""

MARGIN = ROOM + _PAGE
"""Bytes that the memory of a slab has beside its own."""


@dataclass(eq=False)
class PinnedSlab:
    """
    A lease on page-locked host memory; made by :class:`PinnedPool`.

    It begins in the middle of a page.  The middleware's own memory begins where malloc puts large
    blocks, 16 bytes into a page.  Where source and target have the same place in their pages,
    ``rep movsb``, and with it memcpy, takes five times as long on some processors (measured on an
    EPYC).

    Parameters
    ----------
    memory : numpy.ndarray
        uint8 (nbytes + MARGIN,); plain memory on a CPU.
    nbytes : int
        Of the slab.
    after : Event
        The slab is free again when this has passed.
    owner : str
        Who leased it last, for reports.

    Attributes
    ----------
    array : numpy.ndarray
        uint8 (nbytes,).
    address : int
        Of the first byte, for the driver.

    """

    memory: NDArray[np.uint8]
    nbytes: int
    after: Event
    owner: str = ''
    array: NDArray[np.uint8] = field(init=False)
    address: int = field(init=False)
    _views: dict[tuple[torch.dtype, torch.Size], NDArray[Any]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        begin = ROOM + (_PAGE // 2 - self.memory.ctypes.data - ROOM) % _PAGE
        self._room = self.memory[begin - ROOM : begin].data
        self.array = self.memory[begin : begin + self.nbytes]
        self.address = self.array.ctypes.data

    def behind(self, head: bytes) -> tuple[int, int]:
        """
        Put some bytes in front of the slab's own.

        Parameters
        ----------
        head : bytes
            At most :data:`ROOM`.

        Returns
        -------
        address : int
            Of the first byte of the head, which the slab's own follow until it is released.
        nbytes : int
            Of all.

        """
        self._room[ROOM - len(head) :] = head
        return self.address - len(head), len(head) + self.nbytes

    def view(self, dtype: torch.dtype, shape: torch.Size) -> NDArray[Any]:
        """
        Return all bytes as an array of another type and shape, made once and remembered.

        Parameters
        ----------
        dtype : torch.dtype
            One that numpy has.
        shape : torch.Size
            Of as many bytes.

        Returns
        -------
        numpy.ndarray
            The same memory, or the one empty array if there is none.

        """
        array = self._views.get((dtype, shape))
        if array is None:
            import torch  # which most processes with slabs of plain memory do without

            if self.array.nbytes:
                array = torch.from_numpy(self.array).view(dtype).view(shape).numpy()
            else:  # has no strides to be viewed by
                array = torch.empty(shape, dtype=dtype).numpy()
            self._views[dtype, shape] = array
        return array
