# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture prepared for a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.tensor_spec import TensorSpec


@dataclass(frozen=True)
class PreparedTensor:
    """
    A tensor made from a picture, and the way back to the picture's pixels.

    Parameters
    ----------
    tensor : torch.Tensor
        Shape ``spec.shape(width, height)``, dtype ``spec.dtype``, contiguous, on the device of
        the transform.  It owns its memory.
    map : AffineMap
        From source pixels to tensor pixels.
    spec : TensorSpec
        What was asked for.

    """

    tensor: torch.Tensor
    map: AffineMap
    spec: TensorSpec
