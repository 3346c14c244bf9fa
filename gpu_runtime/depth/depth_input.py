# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What depth networks want to read."""

from __future__ import annotations

from typing import Literal
from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.input_size import input_wh as decide_input_wh
from gpu_runtime.errors import ModelError
from gpu_runtime.fit import Fit
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.models.factory import Precision
    from gpu_runtime.models.model_source import ModelSource

Normalization = Literal['unit', 'imagenet', 'symmetric', 'bytes']

NORMALIZATIONS: tuple[Normalization, ...] = ('unit', 'imagenet', 'symmetric', 'bytes')
"""Every value of the parameter ``normalization``."""

DEFAULT_WH = (448, 448)
"""For models that leave their size open: a multiple of 14 (patches) and of 32 (strides)."""

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
"""Red, green, blue of ImageNet, on a scale of 0 to 1.  Source: torchvision's transforms."""


def depth_input(
    source: ModelSource,
    wanted: tuple[int, int] | None,
    *,
    fit: Fit = Fit.STRETCH,
    channels: str = 'rgb',
    normalization: Normalization = 'imagenet',
    precision: Precision = 'fp32',
) -> TensorSpec:
    """
    Decide what a depth network reads.

    Parameters
    ----------
    source : ModelSource
        The model; an ONNX file may state its size.
    wanted : tuple of int, optional
        Width and height that the user asks for, in pixels; default the file's, else 448 x 448.
    fit : Fit
        How pictures of another aspect are brought to the size.
    channels : str
        ``'rgb'`` or ``'bgr'``.
    normalization : str
        Range of the values: ``'unit'`` 0 to 1, ``'imagenet'`` its mean and deviation,
        ``'symmetric'`` -1 to 1, ``'bytes'`` 0 to 255.
    precision : str
        ``'fp32'`` or ``'fp16'``.

    Returns
    -------
    TensorSpec
        For ``Frame.tensor``.

    Raises
    ------
    ModelError
        If the file does not read one picture of three planes, or is of another size.

    """
    _require_one_picture(source)
    width, height = decide_input_wh(source, wanted, default=DEFAULT_WH)
    scale, mean, std = _values(normalization)
    if channels == 'bgr':
        mean, std = mean[::-1], std[::-1]
    return TensorSpec(
        width,
        height,
        fit=fit,
        channels=channels,
        dtype=torch.float16 if precision == 'fp16' else torch.float32,
        scale=scale,
        mean=mean,
        std=std,
    )


def _values(normalization: Normalization) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """Return scale, mean and deviation."""
    zero, one = (0.0,) * 3, (1.0,) * 3
    return {
        'unit': (1.0 / 255.0, zero, one),
        'imagenet': (1.0 / 255.0, _MEAN, _STD),
        'symmetric': (1.0 / 127.5, one, one),
        'bytes': (1.0, zero, one),
    }[normalization]


def _require_one_picture(source: ModelSource) -> None:
    if source.signature is None:
        return
    shapes = list(source.signature.inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (0, 3):
        raise ModelError(
            f'{source.name} has inputs of shape {", ".join(map(str, shapes))}; expected one '
            'picture (1, 3, height, width): choose a depth network that reads a single picture '
            'in this order, or export it so'
        )
