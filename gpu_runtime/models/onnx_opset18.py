# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What torch's exporter writes in opset 18 and onnx2torch does not read: three operations."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from gpu_runtime.models.onnx_resize import register_resize

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode
    from onnx2torch.utils.common import OperationConverterResult


@functools.cache
def register_opset18() -> None:
    """Teach onnx2torch the operations, once per process."""
    from onnx2torch.node_converters import registry

    register_resize()
    with contextlib.suppress(ValueError):  # a later onnx2torch may know it
        registry.add_converter(operation_type='ReduceMean', version=18)(_reduce_mean)
    # The one that is there refuses allowzero=1, and there is no public way to replace it.
    reshape = registry.OperationDescription('', 'Reshape', 14)
    registry._CONVERTER_REGISTRY[reshape] = _reshape


def _reshape(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """Convert whatever ``allowzero`` says: it matters for zeros in the shape alone."""
    from onnx2torch.node_converters.reshape import OnnxReshape
    from onnx2torch.utils.common import get_const_value
    from onnx2torch.utils.common import onnx_mapping_from_node
    from onnx2torch.utils.common import OperationConverterResult

    shape = ()
    with contextlib.suppress(KeyError):  # computed: zero for an empty tensor only
        shape = get_const_value(node.input_values[1], graph).tolist()
    if node.attributes.get('allowzero', 0) and 0 in shape:
        raise NotImplementedError('Reshape to an empty tensor')
    return OperationConverterResult(OnnxReshape(), onnx_mapping_from_node(node))


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
