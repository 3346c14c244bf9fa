# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture to prepare networks with: of no camera, but with what pictures are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.layout import Layout

if TYPE_CHECKING:
    from gpu_runtime.tensor_spec import TensorSpec

_SEED = 20260101
_COARSE_PX = 32
_GRAIN = 12.0


def example_tensor(
    spec: TensorSpec, width: int, height: int, device: torch.device, *, batch: int = 1
) -> torch.Tensor:
    """
    Return a tensor such as a picture of a camera gives.

    Soft patches of colour over the whole range of values, with some grain: a black picture would
    leave most of a network at rest, and hide what a backend computes wrongly.

    Parameters
    ----------
    spec : TensorSpec
        What the network reads.
    width : int
        Columns of the picture, where the spec has none of its own.
    height : int
        Rows of the picture, where the spec has none of its own.
    device : torch.device
        Where the tensor is made.
    batch : int
        Pictures, all different.

    Returns
    -------
    torch.Tensor
        Of the spec's type and value range; the same values at each call.

    """
    shape = spec.shape(width, height)
    rows, columns = shape[2:] if spec.layout is Layout.NCHW else shape[1:3]
    channels = spec.channel_count
    generator = torch.Generator().manual_seed(_SEED)
    patches = torch.rand(
        (batch, channels, -(-rows // _COARSE_PX) + 1, -(-columns // _COARSE_PX) + 1),
        generator=generator,
    )
    pixels = torch.nn.functional.interpolate(
        patches * 255.0, (rows, columns), mode='bilinear', align_corners=True
    )
    pixels += torch.randn(pixels.shape, generator=generator) * _GRAIN
    mean, std = (torch.tensor(v).reshape(1, channels, 1, 1) for v in (spec.mean, spec.std))
    values = (pixels.clamp(0.0, 255.0) * spec.scale - mean) / std
    if spec.layout is Layout.NHWC:
        values = values.permute(0, 2, 3, 1).contiguous()
    return values.to(device, spec.dtype)
