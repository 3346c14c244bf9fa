# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Shape arithmetic of a converted ONNX graph, done once per input shape instead of per frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import fx

_MAX_SHAPES = 8

_READ_ON_HOST = (
    'ConstantOfShape',
    'CumSum',
    'Expand',
    'Pad',
    'Range',
    'Reduce',
    'Reshape',
    'Resize',
    'Slice',
    'Split',
    'Squeeze',
    'Tile',
    'TopK',
    'Unsqueeze',
)
"""onnx2torch's modules that read all inputs but the first with ``.tolist()`` or the like."""

_SHAPE_ONLY = ('Shape', 'Size')
"""Modules whose result depends on the shape of their input, not on its values."""


class StaticShapeModule(torch.nn.Module):
    """
    A converted ONNX graph, specialised to each input shape it meets.

    onnx2torch keeps shapes and slice bounds in tensors and reads them on the host in each
    forward: on a GPU every read waits for the device, and none can be captured in a CUDA graph.
    Here the first call with a shape folds everything that does not depend on the values of the
    inputs into constants, those that are read on the host in host memory.

    Parameters
    ----------
    graph_module : torch.fx.GraphModule
        As ``onnx2torch.convert`` returns it.

    """

    def __init__(self, graph_module: fx.GraphModule) -> None:
        super().__init__()
        self.original = graph_module
        # In a plain dict, so that .to() moves the original alone and constants stay on the host.
        self._folded: dict[
            tuple[object, ...], Callable[..., torch.Tensor | list[torch.Tensor]]
        ] = {}

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """
        Run the graph.

        Parameters
        ----------
        *inputs : torch.Tensor
            As the ONNX graph takes them.  The first call with a shape blocks.

        Returns
        -------
        torch.Tensor or list of torch.Tensor
            The outputs of the ONNX graph.

        """
        key = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in inputs)
        folded = self._folded.get(key)
        if folded is None:
            if len(self._folded) >= _MAX_SHAPES:
                folded = self.original
            else:
                folded = self._folded[key] = _Folding(self.original, inputs).result()
        return folded(*inputs)


class _Folding(fx.Interpreter):
    """One run of a graph that notes which values are constant for the given input shapes."""

    def __init__(self, module: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> None:
        super().__init__(module, garbage_collect_values=False)
        self._source = module
        self.run(*inputs)
        self._varying: set[fx.Node] = set()
        for node in module.graph.nodes:
            if node.op == 'placeholder' or (
                not self._is(node, _SHAPE_ONLY)
                and any(source in self._varying for source in node.all_input_nodes)
            ):
                self._varying.add(node)

    def result(self) -> fx.GraphModule:
        """Return a copy of the graph in which the constants are folded."""
        constants: dict[str, torch.Tensor] = {}
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        for node in self._source.graph.nodes:
            if node in self._varying or node.op == 'output':
                argument = partial(self._argument, node, copies, constants)
                copies[node] = graph.node_copy(node, argument)
        return self._module(graph, constants)

    def _argument(
        self,
        user: fx.Node,
        copies: dict[fx.Node, fx.Node],
        constants: dict[str, torch.Tensor],
        source: fx.Node,
    ) -> fx.Node:
        if source in copies:
            return copies[source]
        value = self.env[source]
        first = bool(user.args) and user.args[0] is source
        if isinstance(value, torch.Tensor) and not first:
            # An index without dimensions is read on the host too, to become a Python number.
            index = value.dim() == 0 and self._is(user, ('Gather',))
            value = value.cpu() if index or self._is(user, _READ_ON_HOST) else value
        name = f'folded_{len(constants)}'
        constants[name] = value
        graph = next(iter(copies.values())).graph
        return graph.get_attr(name)

    def _module(self, graph: fx.Graph, constants: dict[str, torch.Tensor]) -> fx.GraphModule:
        root: dict[str, Any] = dict(constants)
        for node in graph.nodes:
            if node.op == 'call_module':
                root[node.target] = self._source.get_submodule(node.target)
        return fx.GraphModule(root, graph)

    def _is(self, node: fx.Node, kinds: tuple[str, ...]) -> bool:
        if node.op != 'call_module':
            return False
        name = type(self._source.get_submodule(str(node.target))).__name__
        return name.removeprefix('Onnx').startswith(kinds)
