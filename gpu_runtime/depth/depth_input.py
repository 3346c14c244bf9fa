# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What depth networks want to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.input_size import input_wh as decide_input_wh
from gpu_runtime.errors import ModelError
from gpu_runtime.fit import Fit
from gpu_runtime.normalization import Normalization
from gpu_runtime.normalization import normalization_values
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision

DEFAULT_WH = (448, 448)
"""For models that leave their size open: a multiple of 14 (patches) and of 32 (strides)."""


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
    scale, mean, std = normalization_values(normalization)
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
