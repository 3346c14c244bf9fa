# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Ranges of values that networks read, by name."""

from __future__ import annotations

from typing import Literal

Normalization = Literal['unit', 'imagenet', 'symmetric', 'bytes']
Values = tuple[float, tuple[float, ...], tuple[float, ...]]

NORMALIZATIONS: tuple[Normalization, ...] = ('unit', 'imagenet', 'symmetric', 'bytes')
"""Every name that :func:`normalization_values` knows."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Red, green, blue of ImageNet, on a scale of 0 to 1.  Source: torchvision's transforms."""


def normalization_values(name: Normalization) -> Values:
    """
    Return scale, mean and deviation for a :class:`~gpu_runtime.tensor_spec.TensorSpec`.

    Parameters
    ----------
    name : str
        ``'unit'`` 0 to 1, ``'imagenet'`` its mean and deviation, ``'symmetric'`` -1 to 1,
        ``'bytes'`` 0 to 255.

    Returns
    -------
    tuple
        Factor on the 8-bit value, then mean and deviation of red, green and blue.

    """
    zero, one = (0.0,) * 3, (1.0,) * 3
    return {
        'unit': (1.0 / 255.0, zero, one),
        'imagenet': (1.0 / 255.0, IMAGENET_MEAN, IMAGENET_STD),
        'symmetric': (1.0 / 127.5, one, one),
        'bytes': (1.0, zero, one),
    }[name]
