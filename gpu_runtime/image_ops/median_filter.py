# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The median of a square around every pixel, by minima and maxima of whole planes.

Columns are sorted once for all squares that share them, then the rows of sorted columns; only
few elements of a square sorted both ways can be its median.  Every step is a fixed sequence of
element-wise operations: nothing depends on the picture's values.
"""

from __future__ import annotations

import torch
from torch.nn import functional

_NETWORKS = {
    3: ((0, 1), (1, 2), (0, 1)),
    5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2)),
}
"""Exchanges that sort 3 and 5 elements.  Source: Knuth, TAOCP vol. 3, section 5.3.4."""


def median_filtered(planes: torch.Tensor, size: int) -> torch.Tensor:
    """
    Return the median of the square around each pixel.

    Parameters
    ----------
    planes : torch.Tensor
        float32 (C, H, W).
    size : int
        Side of the square in pixels, 3 or 5; borders are repeated.

    Returns
    -------
    torch.Tensor
        float32 (C, H, W).

    """
    height, width = planes.shape[1:]
    padded = functional.pad(planes[None], (size // 2,) * 4, mode='replicate')[0]
    columns = torch.stack(_sorted([padded[:, i : i + height] for i in range(size)]))
    rows = _sorted([columns[..., j : j + width] for j in range(size)])
    return _median([rows[j][i] for i in range(size) for j in range(size) if _central(i, j, size)])


def _central(i: int, j: int, size: int) -> bool:
    """Tell whether element (i, j) of a square sorted along rows and columns can be the median."""
    half = size * size // 2 + 1
    return (i + 1) * (j + 1) <= half and (size - i) * (size - j) <= half


def _sorted(items: list[torch.Tensor]) -> list[torch.Tensor]:
    for low, high in _NETWORKS[len(items)]:
        _exchange(items, low, high)
    return items


def _median(items: list[torch.Tensor]) -> torch.Tensor:
    """Return the median of an odd number of tensors, losing the extremes of half of them first."""
    kept, rest = items[: len(items) // 2 + 2], items[len(items) // 2 + 2 :]
    while len(kept) > 1:
        _extremes_last(kept)
        kept = kept[1:-1] + rest[:1]
        rest = rest[1:]
    return kept[0]


def _extremes_last(items: list[torch.Tensor]) -> None:
    """Move the minimum to the front and the maximum to the end."""
    last = len(items) - 1
    for low in range(len(items) // 2):
        _exchange(items, low, last - low)
    half = (len(items) + 1) // 2
    for index in range(1, half):
        _exchange(items, 0, index)
    for index in range(last - half + 1, last):
        _exchange(items, index, last)


def _exchange(items: list[torch.Tensor], low: int, high: int) -> None:
    a, b = items[low], items[high]
    items[low], items[high] = torch.minimum(a, b), torch.maximum(a, b)
