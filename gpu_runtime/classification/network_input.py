# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What networks that look at whole pictures want to read."""

from __future__ import annotations

from typing import Any
from typing import Literal
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.fit import Fit
from gpu_runtime.layout import Layout
from gpu_runtime.models.source_kind import SourceKind
from gpu_runtime.normalization import IMAGENET_MEAN
from gpu_runtime.normalization import IMAGENET_STD
from gpu_runtime.normalization import normalization_values
from gpu_runtime.normalization import NORMALIZATIONS
from gpu_runtime.normalization import Values
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision

AutoNormalization = Literal['auto', 'unit', 'imagenet', 'symmetric', 'bytes']
Task = Literal['classification', 'segmentation']


AUTO_NORMALIZATIONS: tuple[AutoNormalization, ...] = ('auto', *NORMALIZATIONS)
"""Every value of the parameter ``normalization``."""

_OPEN_WH = {'classification': (224, 224), 'segmentation': (520, 520)}
"""Where nothing states a size: what torchvision's networks of the task are trained at."""


def network_input(
    source: ModelSource,
    task: Task,
    *,
    wanted: tuple[int, int] | None = None,
    fit: Fit = Fit.STRETCH,
    channels: str = 'rgb',
    normalization: AutoNormalization = 'auto',
    precision: Precision = 'fp32',
) -> TensorSpec:
    """
    Decide what a network reads; loads nothing but the head of an ONNX file.

    Parameters
    ----------
    source : ModelSource
        The model.
    task : str
        ``'classification'`` or ``'segmentation'``.
    wanted : tuple of int, optional
        Width and height that the user asks for, in pixels; default the model's own.
    fit : Fit
        How pictures of another aspect are brought to the size.
    channels : str
        ``'rgb'`` or ``'bgr'``.
    normalization : str
        Range of the values: ``'unit'`` 0 to 1, ``'imagenet'`` its mean and deviation,
        ``'symmetric'`` -1 to 1, ``'bytes'`` 0 to 255, ``'auto'`` what torchvision publishes.
    precision : str
        ``'fp32'`` or ``'fp16'``.

    Returns
    -------
    TensorSpec
        For ``Frame.tensor``; NHWC for ONNX files whose input ends in three channels.

    Raises
    ------
    ModelError
        If the model is of another task, reads something else than one picture, or has another
        size.
    ParameterError
        If ``auto`` cannot know the normalization.

    """
    published = _published(source, task)
    stated, layout = _stated(source)
    if stated is not None and wanted is not None and stated != wanted:
        raise ModelError(
            f'{source.name} reads {stated[0]}x{stated[1]} px; got an input size of '
            f'{wanted[0]}x{wanted[1]}: leave the size to the model, or export it at this size'
        )
    size = stated or wanted or _published_wh(published) or _OPEN_WH[task]
    scale, mean, std = _values(source, normalization, published)
    if channels == 'bgr':
        mean, std = mean[::-1], std[::-1]
    return TensorSpec(
        *size,
        fit=fit,
        channels=channels,
        layout=layout,
        dtype=torch.float16 if precision == 'fp16' else torch.float32,
        scale=scale,
        mean=mean,
        std=std,
    )


def _published(source: ModelSource, task: Task) -> Any | None:
    """Return torchvision's transforms of a network; None for files and for no weights."""
    from torchvision import models

    if source.kind is not SourceKind.TORCHVISION:
        return None
    module = models.segmentation if task == 'segmentation' else models
    if source.name not in models.list_models(module=module):
        raise ModelError(
            f'torchvision/{source.name} is not for {task}; expected a name that '
            f'torchvision.models.list_models(module={module.__name__}) gives'
        )
    weights = list(models.get_model_weights(source.name))
    return weights[0].transforms() if weights else None


def _published_wh(published: Any | None) -> tuple[int, int] | None:
    size = getattr(published, 'crop_size', None) or getattr(published, 'resize_size', None)
    return (size[0], size[0]) if size else None


def _stated(source: ModelSource) -> tuple[tuple[int, int] | None, Layout]:
    """Return the size that an ONNX file states, if it does, and the order of its axes."""
    if source.signature is None:
        return None, Layout.NCHW
    shapes = list(source.signature.inputs.values())
    shape = shapes[0]
    if len(shapes) != 1 or len(shape) != 4 or not (shape[1] in (0, 3) or shape[3] == 3):
        raise ModelError(
            f'{source.name} has inputs of shape {", ".join(map(str, shapes))}; expected one '
            'picture, (1, 3, height, width) or (1, height, width, 3): choose another network, or '
            'export it so'
        )
    last = shape[1] != 3 and shape[3] == 3
    height, width = shape[1:3] if last else shape[2:]
    size = (width, height) if width and height else None
    return size, Layout.NHWC if last else Layout.NCHW


def _values(
    source: ModelSource, normalization: AutoNormalization, published: Any | None
) -> Values:
    """Return scale, mean and deviation."""
    if normalization == 'auto':
        if source.kind is not SourceKind.TORCHVISION:
            raise ParameterError(
                f'normalization auto: {source.name} does not say what range of values it reads; '
                f'expected one of {", ".join(NORMALIZATIONS)}, as it was trained with'
            )
        mean = tuple(getattr(published, 'mean', IMAGENET_MEAN))
        return 1.0 / 255.0, mean, tuple(getattr(published, 'std', IMAGENET_STD))
    return normalization_values(normalization)
