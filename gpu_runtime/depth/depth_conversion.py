# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From what a depth network says to metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DepthKind = Literal['metric', 'relative', 'inverse']

DEPTH_KINDS: tuple[DepthKind, ...] = ('metric', 'relative', 'inverse')
"""Every value of the parameter ``kind``."""

_LARGEST_MM = 65535


@dataclass(frozen=True)
class DepthConversion:
    """
    How the values of a network become depth; read anew for each picture.

    Parameters
    ----------
    kind : str
        ``'metric'``: depth = scale · value + shift.  ``'relative'``: the same, after the values
        of each picture are stretched to 0 (least) to 1 (most), for networks that know depth up
        to an unknown scale and shift only.  ``'inverse'``: depth = 1 / (scale · value + shift),
        for disparity-like values.  Source of the inverse form: Ranftl et al., "Towards Robust
        Monocular Depth Estimation", TPAMI 2022, section 5.
    scale : float
        Metres (1/metres for ``'inverse'``) per unit of the network.
    shift : float
        Metres (1/metres for ``'inverse'``).
    min_depth_m : float
        Smallest valid depth in metres.
    max_depth_m : float
        Largest valid depth in metres.

    """

    kind: DepthKind = 'metric'
    scale: float = 1.0
    shift: float = 0.0
    min_depth_m: float = 0.1
    max_depth_m: float = 100.0

    def __call__(self, values: torch.Tensor, focal_ratio: float = 1.0) -> torch.Tensor:
        """
        Convert, on the current stream.

        Parameters
        ----------
        values : torch.Tensor
            float32 (H, W) of the network, on any device; not changed.
        focal_ratio : float
            Depth is multiplied by it: f / f_model, focal lengths of the picture as the network
            sees it and of the camera it was trained for, both in pixels.  Source: Yin et al.,
            "Metric3D", ICCV 2023, section 3.1: by similar triangles, S = S' · Z / f.

        Returns
        -------
        torch.Tensor
            New float32 (H, W): metres along the optical axis, NaN where the depth is not finite
            or out of range (REP 117, REP 118).  Does not block.

        """
        import torch

        if self.kind == 'relative':
            values = _stretched(values)
        depth = values * self.scale + self.shift
        if self.kind == 'inverse':
            depth = depth.reciprocal()
        depth = depth * focal_ratio
        valid = (depth >= self.min_depth_m) & (depth <= self.max_depth_m)
        return torch.where(valid, depth, torch.nan)


def _stretched(values: torch.Tensor) -> torch.Tensor:
    """Map least to 0 and most to 1; what is not finite counts for neither and stays invalid."""
    import torch

    finite = values.isfinite()
    low = torch.where(finite, values, torch.inf).amin()
    high = torch.where(finite, values, -torch.inf).amax()
    # The smallest normal float32: a flat picture becomes 0, not 0 / 0.
    return (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)


def millimetres(depth: torch.Tensor) -> torch.Tensor:
    """
    Return depth as the encoding 16UC1 holds it, on the current stream.

    Parameters
    ----------
    depth : torch.Tensor
        float32 (H, W), metres, NaN invalid.

    Returns
    -------
    torch.Tensor
        New int16 (H, W) with the bits of unsigned millimetres; 0 where depth is invalid or does
        not fit (REP 118).  Does not block.

    """
    import torch

    rounded = (depth * 1000.0).round()
    fits = (rounded >= 1.0) & (rounded <= _LARGEST_MM)
    # By way of int32, whose narrowing keeps the lower bits; few operations know uint16.
    return torch.where(fits, rounded, 0.0).to(torch.int32).to(torch.int16)
