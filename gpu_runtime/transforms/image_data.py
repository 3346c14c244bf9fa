# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What both transforms ask of their input before they touch it."""

from __future__ import annotations

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.tensor_spec import TensorSpec


def averages(spec: TensorSpec, fitted: AffineMap) -> bool:
    """
    Tell whether the resize must average over several source pixels.

    Parameters
    ----------
    spec : TensorSpec
        Says whether it may.
    fitted : AffineMap
        Says whether an axis shrinks.

    Returns
    -------
    bool
        False where the two-by-two sample gives the same values, at less cost.

    """
    (inner_w, inner_h), (width, height) = fitted.inner_wh, fitted.source_wh
    return spec.antialias and (inner_w < width or inner_h < height)


def require_image_data(
    data: torch.Tensor, format: ImageFormat, spec: TensorSpec, device: torch.device
) -> None:
    """
    Refuse a buffer that cannot hold the picture it is said to hold, or what nobody asked for.

    Parameters
    ----------
    data : torch.Tensor
        The bytes of the picture.
    format : ImageFormat
        What they are said to be.
    spec : TensorSpec
        What the network wants to read.
    device : torch.device
        Where they are expected, with its index if it has one.

    Raises
    ------
    SpecMismatchError
        If type, shape, device or length do not fit, or if depth is to be read as a picture or a
        picture as depth.

    """
    if (ENCODINGS[format.encoding].kind is PixelKind.DEPTH) != (spec.channels == 'depth'):
        raise SpecMismatchError(
            f'image encoding {format.encoding!r} was to be read as {spec.channels}; expected '
            'depth (16UC1, 32FC1) where depth is asked for and a picture elsewhere: connect the '
            'right topic, or publish 16-bit intensities as mono16'
        )
    if data.dtype != torch.uint8 or data.dim() != 1 or not data.is_contiguous():
        raise SpecMismatchError(
            f'image data is {data.dtype} of shape {tuple(data.shape)}, strides {data.stride()}; '
            'expected contiguous torch.uint8 of shape (nbytes,): pass the bytes as received'
        )
    if data.device != device:
        raise SpecMismatchError(
            f'image data is on {data.device}; this transform works on {device}: upload it there'
        )
    format.require_nbytes(data.numel())
