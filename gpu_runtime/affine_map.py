# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The map from tensor pixels back to the pixels of the source picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_runtime.fit import Fit

if TYPE_CHECKING:
    import torch

    from gpu_runtime.tensor_spec import TensorSpec


@dataclass(frozen=True)
class AffineMap:
    """
    Scale and offset of a picture inside a prepared tensor.

    Edges, not centres, are mapped: ``tensor = source * scale + offset`` holds for coordinates
    in which a pixel covers ``[i, i + 1)``, the half-pixel rule of OpenCV's and torch's resize.

    Parameters
    ----------
    scale_x : float
        Tensor columns per source column.
    scale_y : float
        Tensor rows per source row.
    offset_x : float
        Tensor column of the picture's left edge.
    offset_y : float
        Tensor row of the picture's upper edge.
    source_wh : tuple of int
        Width and height of the source picture in pixels.

    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    source_wh: tuple[int, int]

    @classmethod
    def fit(cls, spec: TensorSpec, width: int, height: int) -> AffineMap:
        """
        Return the map that a spec asks for.

        Parameters
        ----------
        spec : TensorSpec
            Size and fit of the tensor.
        width : int
            Columns of the picture.
        height : int
            Rows of the picture.

        Returns
        -------
        AffineMap
            A letterbox rounds the scaled size to whole pixels, so that the picture's last
            row and column are exact: the two scales may differ in the last digits.

        """
        columns, rows = spec.scaled_wh(width, height)
        if spec.fit is Fit.STRETCH:
            return cls(columns / width, rows / height, 0.0, 0.0, (width, height))
        ratio = min(columns / width, rows / height)
        inner_w = max(1, min(columns, round(width * ratio)))
        inner_h = max(1, min(rows, round(height * ratio)))
        left = top = 0
        if spec.fit is Fit.LETTERBOX_CENTER:
            left, top = (columns - inner_w) // 2, (rows - inner_h) // 2
        return cls(inner_w / width, inner_h / height, float(left), float(top), (width, height))

    @property
    def inner_wh(self) -> tuple[int, int]:
        """Width and height of the picture inside the tensor, in tensor pixels."""
        width, height = self.source_wh
        return round(width * self.scale_x), round(height * self.scale_y)

    @property
    def numbers(self) -> tuple[tuple[float, float, float, float], ...]:
        """Offsets, scales, least and most for x, y, x, y: what :func:`boxes_to_source` reads."""
        width, height = (float(side) for side in self.source_wh)
        return (
            (self.offset_x, self.offset_y) * 2,
            (self.scale_x, self.scale_y) * 2,
            (0.0, 0.0, 0.0, 0.0),
            (width, height) * 2,
        )


def boxes_to_source(xyxy: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """
    Map boxes from tensor pixels to source pixels, clipped to the picture.

    Parameters
    ----------
    xyxy : torch.Tensor
        Shape (N, 4), left, top, right, bottom in tensor pixels, on any device.
    numbers : torch.Tensor
        float32 (4, 4) on the same device, :attr:`AffineMap.numbers` of the picture.

    Returns
    -------
    torch.Tensor
        Shape (N, 4), the same order, in pixels of the source, x right, y down.  Enqueued on the
        current stream; does not block.

    """
    import torch

    offset, scale, least, most = numbers.unbind()
    return torch.clamp((xyxy - offset) / scale, least, most)
