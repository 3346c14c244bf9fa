# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Lets ONNX graphs that were exported for one picture take several."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import onnx


def free_batch(model: onnx.ModelProto) -> None:
    """
    Let every Reshape that writes a batch of 1 keep the batch of its input instead.

    For one picture the graph means the same as before: ONNX's Reshape takes a 0 for "as in the
    input", and this is done only where the input's first side is known to be 1.  Source: ONNX's
    operators, Reshape, attribute ``allowzero``.

    Parameters
    ----------
    model : onnx.ModelProto
        Valid; changed in place.

    """
    from onnx import numpy_helper

    constants = _constants(model.graph)
    first = _first_sides(model)
    for index, node in enumerate(model.graph.node):
        if node.op_type != 'Reshape' or any(a.name == 'allowzero' and a.i for a in node.attribute):
            continue
        shape = constants.get(node.input[1])
        if shape is None or shape.size < 2 or shape[0] != 1 or first.get(node.input[0]) != 1:
            continue
        kept = shape.copy()
        kept[0] = 0
        name = f'{node.input[1]}/kept_{index}'
        model.graph.initializer.append(numpy_helper.from_array(kept, name))
        node.input[1] = name


def _constants(
    graph: onnx.GraphProto,
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the values of initializers and Constant nodes that can be shapes."""
    from onnx import numpy_helper
    from onnx import TensorProto

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Constant' and node.attribute and node.attribute[0].name == 'value':
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1
    }


def _first_sides(model: onnx.ModelProto) -> dict[str, int]:
    """Return the first side of every value whose shape can be inferred."""
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model)
    sides = {}
    for value in (*inferred.graph.value_info, *inferred.graph.input):
        dims = value.type.tensor_type.shape.dim
        if len(dims) > 0 and dims[0].HasField('dim_value'):
            sides[value.name] = int(dims[0].dim_value)
    return sides
