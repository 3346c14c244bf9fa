# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The features of regions, each from the level of the pyramid that fits its size."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import math
from typing import Any

import torch
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from gpu_runtime.models.detectors.cuda_region_pool import CudaRegionPool
from gpu_runtime.models.detectors.cuda_region_pool import is_poolable

_ELSEWHERE = -1e6
"""Left of and above every map, in pixels: RoI align reads nothing there and gives zeros."""


class RegionPool:
    """
    Pool every region from the level that torchvision pools it from.

    torchvision sorts the regions by level, which gives each level a number of regions that
    depends on the picture.  On CUDA a kernel of our own picks the level of each region.
    Elsewhere every region is pooled from every level, and from all but its own nothing.

    Parameters
    ----------
    pool : torchvision.ops.MultiScaleRoIAlign
        Gives the levels, the size and the sampling.

    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __call__(
        self, features: dict[str, torch.Tensor], boxes: torch.Tensor, image_hw: tuple[int, int]
    ) -> torch.Tensor:
        """
        Pool.

        Parameters
        ----------
        features : dict of torch.Tensor
            Maps (1, C, h, w) of the pyramid, finest first.
        boxes : torch.Tensor
            float32 (K, 4) xyxy in pixels of the picture.
        image_hw : tuple of int
            Height and width of the picture without padding.

        Returns
        -------
        torch.Tensor
            (K, C, rows, columns) in the type of the maps.  Does not block.

        """
        maps = [level for name, level in features.items() if name in self._pool.featmap_names]
        # Source: torchvision's MultiScaleRoIAlign, which takes the nearest power of two.
        octaves = [round(math.log2(level.shape[-2] / image_hw[0])) for level in maps]
        mapper = LevelMapper(
            -octaves[0], -octaves[-1], self._pool.canonical_scale, self._pool.canonical_level
        )
        kernels = (
            _kernels(boxes.device, self._pool.output_size, self._pool.sampling_ratio)
            if is_poolable(maps, boxes, octaves) and self._pool.sampling_ratio > 0
            else None
        )
        if kernels is None:
            return self._from_every_level(maps, boxes, octaves, mapper([boxes]))
        return kernels(maps, boxes, octaves, mapper)

    def _from_every_level(
        self,
        maps: Sequence[torch.Tensor],
        boxes: torch.Tensor,
        octaves: Sequence[int],
        levels: torch.Tensor,
    ) -> torch.Tensor:
        """Pool with torchvision's kernel for one level, as often as there are levels."""
        pooled: list[torch.Tensor] = [
            roi_align(
                # In float32, as torch's autocast does: float16 cannot count a picture's columns.
                level.float(),
                _regions(boxes.masked_fill((levels != number)[:, None], _ELSEWHERE)),
                self._pool.output_size,
                2.0**octave,
                self._pool.sampling_ratio,
            )
            for number, (level, octave) in enumerate(zip(maps, octaves, strict=True))
        ]
        return functools.reduce(torch.add, pooled).to(maps[0].dtype)


@functools.cache
def _kernels(device: torch.device, size: tuple[int, int], ratio: int) -> CudaRegionPool | None:
    """Return the kernels for a device, or None where CuPy is missing: suppression warns of it."""
    try:
        return CudaRegionPool(device, size, ratio)
    except ImportError:
        return None


def _regions(boxes: torch.Tensor) -> torch.Tensor:
    """Put the number of the picture, 0, in front of each box."""
    return torch.nn.functional.pad(boxes, (1, 0))
