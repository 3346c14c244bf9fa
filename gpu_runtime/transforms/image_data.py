# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What both transforms ask of their input before they touch it."""

from __future__ import annotations

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_format import PREPARED
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


def require_image_data(data: torch.Tensor, format: ImageFormat, device: torch.device) -> None:
    """
    Refuse a buffer that cannot hold the picture it is said to hold.

    Parameters
    ----------
    data : torch.Tensor
        The bytes of the picture.
    format : ImageFormat
        What they are said to be.
    device : torch.device
        Where they are expected, with its index if it has one.

    Raises
    ------
    SpecMismatchError
        If type, shape, device or length do not fit.

    """
    if format.encoding not in PREPARED:
        raise SpecMismatchError(
            f'image encoding {format.encoding!r} cannot be prepared for a network; expected one '
            f'of {", ".join(PREPARED)}: convert the picture first'
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
