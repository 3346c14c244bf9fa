# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From a source to a model that runs: the one place that chooses a backend."""

from __future__ import annotations

import threading
from typing import Literal
from typing import TYPE_CHECKING

import torch

from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.engines.compilers import usable
from gpu_runtime.errors import EngineError
from gpu_runtime.errors import ModelError
from gpu_runtime.models.cuda_graph import CudaGraphModel
from gpu_runtime.models.eager import EagerModel
from gpu_runtime.models.engine_model import EngineModel
from gpu_runtime.models.forward import Forward
from gpu_runtime.models.precision import bring_to
from gpu_runtime.models.precision import casting_device
from gpu_runtime.models.precision import dtype_of
from gpu_runtime.models.precision import may_fuse
from gpu_runtime.models.precision import Precision
from gpu_runtime.models.precision import precision_problem
from gpu_runtime.models.precision import PRECISIONS
from gpu_runtime.models.source_kind import SourceKind

if TYPE_CHECKING:
    from gpu_runtime.engines.engine_builds import EngineBuilds
    from gpu_runtime.models.forward import Finish
    from gpu_runtime.models.model import Model
    from gpu_runtime.models.model_source import ModelSource

Backend = Literal['auto', 'eager', 'cuda_graph', 'compile', 'tensorrt']

BACKENDS: tuple[Backend, ...] = ('auto', 'eager', 'cuda_graph', 'compile', 'tensorrt')
"""Every value of the parameter ``backend``."""


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
    engines: EngineBuilds | None = None,
    finish: Finish | None = None,
    widen: bool = True,
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
        ``'eager'``; ``'cuda_graph'``; ``'compile'`` or ``'tensorrt'``: an engine, and the network
        itself until that is built; or ``'auto'``: eager on the CPU and where shapes are not fixed,
        else the fastest that agrees with eager float32, once that was measured.
    precision : str
        ``'fp32'``, or on CUDA ``'tf32'``, ``'fp16'``, ``'bf16'``; networks without fixed shapes
        use autocast for the halves.
    weights : str
        As for :meth:`ModelSource.load`.
    allow_unsafe_models : bool
        As for :meth:`ModelSource.load`.
    capture_lock : threading.Lock
        The context's lock for captures.
    fixed_shape : bool
        Whether all shapes inside the network follow from those of its inputs; presets know it.
    engines : EngineBuilds, optional
        Builds and keeps engines; without, nothing is compiled.
    finish : callable, optional
        What the model makes of the network's outputs, in the same graph where there is one.
    widen : bool
        Whether outputs in half precision become float32; without, an engine's still may be.

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
    if backend in COMPILERS:
        _require_compiler(source, device, backend, precision, engines)
    module = source.load(
        weights=weights,
        allow_unsafe_models=allow_unsafe_models,
        device=casting_device(source.kind, device),
    )
    half = dtype_of(precision) is not torch.float32
    if half and not fixed_shape:
        module = module.to(device)
        forward = Forward(module, torch.float32, autocast=dtype_of(precision), finish=finish)
        return EagerModel(forward)
    fuse = may_fuse(device, weights)
    module = bring_to(module, precision, source.kind, fuse=fuse).to(device)
    forward = Forward(module, dtype_of(precision), finish=finish, widen=widen)
    compiled = backend in COMPILERS or (
        backend == 'auto'
        and device.type == 'cuda'
        and fixed_shape
        and source.kind is not SourceKind.TORCHSCRIPT
        and bool(usable(device, precision))
    )
    if compiled and engines is not None:
        order = BuildOrder(
            kind=source.kind.value,
            name=source.name,
            weights=weights,
            allow_unsafe_models=allow_unsafe_models,
            backend=backend,
            precision=precision,
            device=str(device),
        )
        return EngineModel(forward, order, engines, capture_lock)
    if backend == 'cuda_graph' or (backend == 'auto' and device.type == 'cuda' and fixed_shape):
        return CudaGraphModel(forward, device, capture_lock)
    return EagerModel(forward)


def _require_compiler(
    source: ModelSource,
    device: torch.device,
    backend: str,
    precision: str,
    engines: EngineBuilds | None,
) -> None:
    problem = COMPILERS[backend].problem(device, precision)
    if not problem and source.kind is SourceKind.TORCHSCRIPT:
        problem = (
            f'backend {backend} cannot compile TorchScript; expected torchvision/<name>, or an '
            '.onnx or .pt2 file: export the network again, or set backend to auto'
        )
    if not problem and engines is None:
        problem = (
            f'backend {backend} needs an engine store, and this process has none; set '
            'engine_store_mb of the container above 0, or backend to auto'
        )
    if problem:
        raise ModelError(problem)
    assert engines is not None
    try:
        engines.store.open()
    except EngineError as error:
        raise ModelError(f'backend {backend}: {error}') from error


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
    if backend not in ('auto', 'eager') and not fixed_shape:
        raise ModelError(
            f'backend {backend} needs a network of fixed shapes, and this one returns as many '
            'boxes as it finds; set backend to auto'
        )
    problem = precision_problem(precision, device)
    if problem:
        raise ModelError(problem)
