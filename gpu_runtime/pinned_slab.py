# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A lease on page-locked host memory."""

from __future__ import annotations

from dataclasses import dataclass
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

    """

    array: NDArray[np.uint8]
    tensor: torch.Tensor
    after: Event
    owner: str = ''
