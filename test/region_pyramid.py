# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Maps of a pyramid and regions in a picture, for tests of pooling."""

from __future__ import annotations

import torch
from torchvision.ops import MultiScaleRoIAlign

IMAGE_HW = (200, 267)


def pyramid(
    levels: int,
    channels: int,
    dtype: torch.dtype,
    order: torch.memory_format = torch.contiguous_format,
    image_hw: tuple[int, int] = IMAGE_HW,
) -> dict[str, torch.Tensor]:
    """Return random maps (1, C, h, w), the finest a quarter of the padded picture."""
    generator = torch.Generator().manual_seed(channels)
    multiple = 4 << levels - 1
    height, width = (-(-side // multiple) * multiple for side in image_hw)
    maps = (
        torch.randn((1, channels, height >> i + 2, width >> i + 2), generator=generator)
        for i in range(levels)
    )
    return {str(i): one.to(dtype).to(memory_format=order) for i, one in enumerate(maps)}


def every_kind_of_box(image_hw: tuple[int, int] = IMAGE_HW, random: int = 24) -> torch.Tensor:
    """Return float32 (N, 4): random ones, and those at which something is decided."""
    height, width = image_hw
    generator = torch.Generator().manual_seed(random)
    corner = torch.rand((random, 2), generator=generator) * torch.tensor([width, height])
    size = torch.rand((random, 2), generator=generator) ** 3 * 600
    limit = torch.tensor([width, height])
    boxes = torch.cat((corner, torch.minimum(corner + size, limit)), dim=1)
    special = [
        [0, 0, 0, 0],  # as entries behind the last proposal are
        [10, 10, 10, 10],
        [width, height, width, height],
        [0, 0, width, height],
        [width - 1, 0, width, height],
        [0, height - 0.5, width, height],
        [-30, -20, 15, 25],
        [-900, -900, -850, -850],
        [width + 50, height + 50, width + 90, height + 90],
        [50, 50, 40, 40],
        *([3, 5, 3 + side, 5 + side] for side in (56, 112, 111.99, 224, 224.1, 448, 896, 5000)),
    ]
    return torch.cat((boxes, torch.tensor(special, dtype=torch.float32)))


def torchvision_pools(
    pool: MultiScaleRoIAlign,
    maps: dict[str, torch.Tensor],
    boxes: torch.Tensor,
    image_hw: tuple[int, int] = IMAGE_HW,
) -> torch.Tensor:
    """Return what torchvision gives in float32."""
    fresh = MultiScaleRoIAlign(pool.featmap_names, pool.output_size, pool.sampling_ratio)
    pooled: torch.Tensor = fresh(
        {name: level.float() for name, level in maps.items()}, [boxes], [image_hw]
    )
    return pooled
