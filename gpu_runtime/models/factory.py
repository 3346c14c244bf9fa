# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From a source to a model that runs: the one place that chooses a backend."""

from __future__ import annotations

import threading
from typing import Literal
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.models.cuda_graph import CudaGraphModel
from gpu_runtime.models.eager import EagerModel
from gpu_runtime.models.forward import Forward
from gpu_runtime.models.source_kind import SourceKind

if TYPE_CHECKING:
    from gpu_runtime.models.model import Model
    from gpu_runtime.models.model_source import ModelSource

Backend = Literal['auto', 'eager', 'cuda_graph']
Precision = Literal['fp32', 'fp16']

BACKENDS: tuple[Backend, ...] = ('auto', 'eager', 'cuda_graph')
"""Every value of the parameter ``backend``."""

PRECISIONS: tuple[Precision, ...] = ('fp32', 'fp16')
"""Every value of the parameter ``precision``."""


def load_model(
    source: ModelSource,
    *,
    device: torch.device,
    backend: Backend = 'auto',
    precision: Precision = 'fp32',
    weights: str = 'DEFAULT',
    allow_unsafe_models: bool = False,
    capture_lock: threading.Lock,
    fixed_shape: bool = True,
) -> Model:
    """
    Load a network and wrap it in a backend.

    Parameters
    ----------
    source : ModelSource
        The network.
    device : torch.device
        Where it runs, with its index.
    backend : str
        ``'eager'``, ``'cuda_graph'``, or ``'auto'``: cuda_graph on CUDA where the shapes are
        fixed, else eager.
    precision : str
        ``'fp32'``, or ``'fp16'`` on CUDA; networks without fixed shapes use autocast for it.
    weights : str
        As for :meth:`ModelSource.load`.
    allow_unsafe_models : bool
        As for :meth:`ModelSource.load`.
    capture_lock : threading.Lock
        The context's lock for captures.
    fixed_shape : bool
        Whether all shapes inside the network follow from those of its inputs; presets know it.

    Returns
    -------
    Model
        Not yet prepared.  Blocks while it loads.

    Raises
    ------
    ModelError
        If the combination does not exist, or the source cannot be loaded.

    """
    _require_possible(device, backend, precision, fixed_shape)
    module = source.load(weights=weights, allow_unsafe_models=allow_unsafe_models, device=device)
    half = precision == 'fp16'
    if half and fixed_shape:
        module = _to_half(module, source.kind)
    dtype = torch.float16 if half and fixed_shape else torch.float32
    forward = Forward(module, dtype, autocast=half and not fixed_shape)
    if backend == 'cuda_graph' or (backend == 'auto' and device.type == 'cuda' and fixed_shape):
        return CudaGraphModel(forward, device, capture_lock)
    return EagerModel(forward)


def _require_possible(
    device: torch.device, backend: str, precision: str, fixed_shape: bool
) -> None:
    if backend not in BACKENDS:
        raise ModelError(f'backend {backend!r} is unknown; expected {", ".join(BACKENDS)}')
    if precision not in PRECISIONS:
        raise ModelError(f'precision {precision!r} is unknown; expected {", ".join(PRECISIONS)}')
    if backend == 'cuda_graph' and device.type != 'cuda':
        raise ModelError(
            f'backend cuda_graph needs a CUDA device, got {device}; set backend to auto'
        )
    if backend == 'cuda_graph' and not fixed_shape:
        raise ModelError(
            'backend cuda_graph needs a network of fixed shapes, and this one returns as many '
            'boxes as it finds; set backend to auto'
        )
    if precision == 'fp16' and device.type != 'cuda':
        raise ModelError(f'precision fp16 needs a CUDA device, got {device}; set precision fp32')


def _to_half(module: torch.nn.Module, kind: SourceKind) -> torch.nn.Module:
    """Halve the weights, in the memory order that tensor cores like where that is faster."""
    module = module.half()
    # Not for exported programs: their graphs may view weights in the order of the export.  Not
    # with grouped convolutions either: on an H200, YOLOX nano took 1.03 ms, and 1.38 ms so.
    grouped = any(getattr(layer, 'groups', 1) > 1 for layer in module.modules())
    if kind in (SourceKind.TORCHVISION, SourceKind.ONNX) and not grouped:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
