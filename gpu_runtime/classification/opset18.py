# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX's Resize and ReduceMean of opset 18 and later, which onnx2torch does not know."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode
    from onnx2torch.utils.common import OperationConverterResult


@functools.cache
def register_opset18() -> None:
    """Teach onnx2torch both operations, once per process; what it knows by then is kept."""
    from onnx2torch.node_converters import get_converter
    from onnx2torch.node_converters.registry import add_converter

    for kind, versions, convert in (
        ('Resize', (18, 19), _resize),
        ('ReduceMean', (18,), _reduce_mean),
    ):
        for version in versions:
            try:
                get_converter(kind, version)
            except NotImplementedError:
                add_converter(operation_type=kind, version=version)(convert)


def _resize(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Convert as for opset 13, which differs only in attributes that must have their defaults."""
    from onnx2torch.node_converters import get_converter

    get = node.attributes.get
    if get('antialias', 0) or get('axes') or get('keep_aspect_ratio_policy', 'stretch') != 'stretch':
        raise NotImplementedError('Resize with antialias, axes or a kept aspect ratio')
    return get_converter('Resize', 13)(node, graph)


def _reduce_mean(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Convert with the axes, an attribute until opset 13, from a constant input."""
    from onnx2torch.node_converters.reduce import OnnxReduceStaticAxes
    from onnx2torch.utils.common import get_const_value
    from onnx2torch.utils.common import OnnxMapping
    from onnx2torch.utils.common import OperationConverterResult

    picture, *rest = node.input_values
    try:
        axes = get_const_value(rest[0], graph).tolist() if rest else None
    except KeyError as error:
        raise NotImplementedError('ReduceMean over axes that are computed') from error
    if not axes and node.attributes.get('noop_with_empty_axes', 0):
        raise NotImplementedError('ReduceMean over no axes')
    module = OnnxReduceStaticAxes('ReduceMean', axes, node.attributes.get('keepdims', 1))
    return OperationConverterResult(module, OnnxMapping((picture,), node.output_values))
