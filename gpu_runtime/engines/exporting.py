# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From a module to the exported program that compilers read."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TYPE_CHECKING

import torch
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.experimental.proxy_tensor import has_proxy_slot
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes

from gpu_runtime.errors import EngineError

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def export(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    """
    Export a network for the shapes and types of some inputs.

    Parameters
    ----------
    module : torch.nn.Module
        From positional tensors to a flat tuple of tensors.
    inputs : tuple of torch.Tensor
        On its device.

    Returns
    -------
    torch.export.ExportedProgram
        Of these very shapes.  Blocks for seconds.

    Raises
    ------
    EngineError
        If shapes inside the network follow from values.

    """
    from gpu_runtime.models.static_shapes import StaticShapeModule

    with torch.no_grad():
        if any(isinstance(part, StaticShapeModule) for part in module.modules()):
            module = _traced(module, inputs)
        return torch.export.export(module, inputs, strict=False)


def _traced(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.nn.Module:
    """
    Record the operations of a converted ONNX graph.

    Its modules read constants on the host, which torch.export refuses; tracing with real tensors
    lets them.  Values that depend on the inputs cannot be read so, and shapes that depend on them
    are refused here, as the recording would keep those of this input.
    """
    module(*inputs)  # folds what depends on shapes alone

    def traced(*tensors: torch.Tensor) -> Any:
        with _ConstantsAside():
            return module(*tensors)

    graph = make_fx(traced, tracing_mode='real', pre_dispatch=True)(*inputs)
    for node in graph.graph.nodes:
        tags = getattr(node.target, 'tags', ())
        if torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags:
            raise EngineError(
                f'the network has {node.target}, whose result has another shape for each picture; '
                'expected fixed shapes: export it without this part, or set backend to auto'
            )
    return graph


class _ConstantsAside(TorchFunctionMode):
    """Keeps what does not depend on the inputs out of the recording, so that it has values."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        recorder = get_proxy_mode()
        tensors = (
            leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)
        )
        if recorder is None or any(has_proxy_slot(t, recorder.tracer) for t in tensors):
            return func(*args, **(kwargs or {}))
        with _disable_current_modes():
            return func(*args, **(kwargs or {}))
