# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A lease on page-locked host memory."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.event import Event

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False)
class PinnedSlab:
    """
    A lease on page-locked host memory; made by :class:`PinnedPool`.

    Parameters
    ----------
    array : numpy.ndarray
        uint8 (nbytes,); plain memory on a CPU.
    tensor : torch.Tensor
        The same bytes as a tensor.
    after : Event
        The slab is free again when this has passed.
    owner : str
        Who leased it last, for reports.

    Attributes
    ----------
    address : int
        Of the first byte, for the driver.

    """

    array: NDArray[np.uint8]
    tensor: torch.Tensor
    after: Event
    owner: str = ''
    address: int = field(init=False)
    _views: dict[tuple[torch.dtype, torch.Size], NDArray[Any]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        self.address = self.array.ctypes.data

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
            if self.array.nbytes:
                array = self.tensor.view(dtype).view(shape).numpy()
            else:  # has no strides to be viewed by
                array = torch.empty(shape, dtype=dtype).numpy()
            self._views[dtype, shape] = array
        return array
