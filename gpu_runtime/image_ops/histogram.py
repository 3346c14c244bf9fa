# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operations that change values by how often they occur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.operation import Operation

if TYPE_CHECKING:
    from gpu_runtime.image_ops.picture import Picture

_BINS = 256


@dataclass(frozen=True)
class Equalize(Operation):
    """
    Spread the values over the whole range, as ``cv2.equalizeHist``.

    In colour the brightness alone is spread: each channel moves by as much as the luma does.
    Against OpenCV on 8-bit pictures: grey exact (1 of 255 off for ties); colour, against the Y of
    YCrCb, at most 6, 1 on average, since OpenCV rounds three channels twice.
    """

    name: ClassVar[str] = 'equalize'

    def __call__(self, picture: Picture) -> Picture:
        """
        Equalise.

        Parameters
        ----------
        picture : Picture
            Any.

        Returns
        -------
        Picture
            Of the same size.

        """
        values, levels = _levels(picture)
        total = levels.numel()
        cumulated = _histograms(levels, 1)[:, 0].sum(0).cumsum(0)
        lowest = torch.where(cumulated > 0, cumulated, float(total)).amin()
        scaled = (cumulated - lowest) * (255.0 / (total - lowest).clamp(min=1.0))
        identity = torch.arange(_BINS, device=levels.device, dtype=torch.float32)
        table = torch.where(lowest < total, scaled.round().clamp(0, 255), identity)
        return _with_luma(picture, values, table[levels])


@dataclass(frozen=True)
class Clahe(Operation):
    """
    Spread the values tile by tile with limited contrast, as ``cv2.createCLAHE``.

    In colour the brightness alone is spread, as by ``equalize``.  Against OpenCV on 8-bit
    pictures: grey at most 1 of 255 off; colour, against the Y of YCrCb, at most 6, 1 on average.
    """

    name: ClassVar[str] = 'clahe'
    clip_limit: float = argument('Limit of the contrast.', default=2.0, ge=0.1, le=100.0)
    tiles_x: int = argument('Tiles side by side.', default=8, ge=1, le=64)
    tiles_y: int = argument('Tiles above each other.', default=8, ge=1, le=64)

    def __call__(self, picture: Picture) -> Picture:
        """
        Equalise adaptively.

        Parameters
        ----------
        picture : Picture
            With at least two pixels a tile in both directions.

        Returns
        -------
        Picture
            Of the same size.

        """
        values, levels = _levels(picture)
        tiled = self._padded(levels)
        tile_h, tile_w = tiled.shape[0] // self.tiles_y, tiled.shape[1] // self.tiles_x
        rows = _histograms(tiled, self.tiles_x).view(self.tiles_y, tile_h, self.tiles_x, _BINS)
        tables = self._tables(rows.sum(1), tile_w * tile_h)
        return _with_luma(picture, values, self._looked_up(levels, tables, tile_w, tile_h))

    def _padded(self, levels: torch.Tensor) -> torch.Tensor:
        """Mirror the right and lower border until tiles have whole pixels, as OpenCV does."""
        height, width = levels.shape
        if height % self.tiles_y == 0 and width % self.tiles_x == 0:
            return levels
        right = self.tiles_x - width % self.tiles_x
        below = self.tiles_y - height % self.tiles_y
        if right >= width or below >= height:
            raise SpecMismatchError(
                f'operations: clahe with {self.tiles_x}x{self.tiles_y} tiles: the picture has '
                f'{width}x{height} px; expected two pixels a tile: set fewer tiles'
            )
        planes = levels[None, None].float()
        return functional.pad(planes, (0, right, 0, below), mode='reflect')[0, 0].long()

    def _tables(self, counts: torch.Tensor, area: int) -> torch.Tensor:
        """
        Return the new value of each value in each tile, float32 (tiles_y, tiles_x, 256).

        What is cut off above the limit goes to all values alike, and the rest of that division
        to every so many-th of them.  Source: opencv/modules/imgproc/src/clahe.cpp.
        """
        limit = max(int(self.clip_limit * area / _BINS), 1)
        excess = (counts - limit).clamp(min=0).sum(-1, keepdim=True)
        share = torch.floor(excess / _BINS)
        residual = excess - share * _BINS
        stride = torch.floor(_BINS / residual.clamp(min=1)).clamp(min=1)
        bins = torch.arange(_BINS, device=counts.device, dtype=torch.float32)
        place = torch.floor(bins / stride)
        extra = (bins == place * stride) & (place < residual)
        filled = counts.clamp(max=limit) + share + extra
        return (filled.cumsum(-1) * (255.0 / area)).round().clamp(0, 255)

    def _looked_up(
        self, levels: torch.Tensor, tables: torch.Tensor, tile_w: int, tile_h: int
    ) -> torch.Tensor:
        """Return the values that the four nearest tiles give, weighted by distance."""
        left, right, x = _neighbours(levels.shape[1], tile_w, self.tiles_x, levels.device)
        above, below, y = _neighbours(levels.shape[0], tile_h, self.tiles_y, levels.device)
        above, below, y = above[:, None], below[:, None], y[:, None]
        flat = tables.reshape(-1)

        def at(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            return flat[(row * self.tiles_x + column) * _BINS + levels]

        upper = torch.lerp(at(above, left), at(above, right), x.expand(levels.shape))
        lower = torch.lerp(at(below, left), at(below, right), x.expand(levels.shape))
        return torch.lerp(upper, lower, y.expand(levels.shape)).round()


def _neighbours(
    length: int, tile: int, tiles: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return, per pixel of an axis, the tile before, the tile after, and the share of that."""
    place = torch.arange(length, device=device, dtype=torch.float32) * (1.0 / tile) - 0.5
    before = place.floor()
    after = (before + 1).clamp(max=tiles - 1)
    return before.clamp(min=0).long(), after.long(), place - before


def _levels(picture: Picture) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the luma, float32 (1, H, W), and its 8-bit values, int64 (H, W)."""
    luma = picture.luma()
    return luma, luma[0].round().clamp(0, 255).long()


def _histograms(levels: torch.Tensor, tiles: int) -> torch.Tensor:
    """Return how often each value occurs per row and tile, float32 (H, tiles, 256)."""
    # Row by row, so that few threads meet at one counter; no histogram function of torch that
    # does not wait for the device takes more than one picture.
    height, width = levels.shape
    tile = torch.arange(width, device=levels.device) // (width // tiles)
    counts = torch.zeros((height, tiles * _BINS), device=levels.device)
    ones = torch.ones((1, 1), device=levels.device).expand(height, width)
    return counts.scatter_add_(1, levels + tile * _BINS, ones).view(height, tiles, _BINS)


def _with_luma(picture: Picture, old: torch.Tensor, new: torch.Tensor) -> Picture:
    """Return the picture with another luma and the same colour differences."""
    if picture.planes.shape[0] == 1:
        return picture.with_planes(new[None])
    return picture.with_planes((picture.planes + (new - old)).clamp(0, 255))
