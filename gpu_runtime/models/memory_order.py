# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The order in memory that tensor cores like: channels of a pixel beside each other."""

from __future__ import annotations

import operator

import torch
from torch import fx

from gpu_runtime.models.source_kind import SourceKind

_aten = torch.ops.aten
_GROUPS = 6
"""Place of ``groups`` among the arguments of ``aten::conv2d``."""


def to_channels_last(module: torch.nn.Module, kind: SourceKind) -> torch.nn.Module:
    """
    Put the weights of convolutions into channels-last order where that is faster.

    Not with grouped convolutions: on an H200, YOLOX nano took 1.03 ms, and 1.38 ms so.

    Parameters
    ----------
    module : torch.nn.Module
        In half precision; changed in place.
    kind : SourceKind
        Where it came from; TorchScript stays as it is.

    Returns
    -------
    torch.nn.Module
        The same network.

    """
    if kind is SourceKind.EXPORTED:
        for part in module.modules():
            if isinstance(part, fx.GraphModule):
                _reorder_graph(part)
        return module
    grouped = any(getattr(layer, 'groups', 1) > 1 for layer in module.modules())
    if kind in (SourceKind.TORCHVISION, SourceKind.ONNX) and not grouped:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _reorder_graph(module: fx.GraphModule) -> None:
    """Reorder the weights of an exported program that only convolutions read."""
    convolutions = [n for n in module.graph.nodes if n.target is _aten.conv2d.default]
    if any(len(n.args) > _GROUPS and n.args[_GROUPS] != 1 for n in convolutions):
        return
    for node in convolutions:
        source = node.args[1]
        if source.op == 'get_attr' and len(source.users) == 1:
            weight = operator.attrgetter(str(source.target))(module)
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    for node in module.graph.nodes:
        if node.target is _aten.view.default:  # which refuses what is not in one piece
            node.target = _aten.reshape.default
    module.recompile()
