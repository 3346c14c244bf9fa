# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A classifier of ten classes in some kilobytes, with shape arithmetic as real exports have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto

CLASSES = 10


def tiny_onnx(path: Path, *, side: int | str = 32, seed: int = 0) -> str:
    """Write the network, of seeded weights; returns its path."""
    rng = np.random.default_rng(seed)
    constants = {
        'weight': rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        'bias': rng.standard_normal(8).astype(np.float32),
        'matrix': rng.standard_normal((8, CLASSES)).astype(np.float32),
        'first': np.array([0], np.int64),
        'end': np.array([1], np.int64),
        'minus': np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node('Conv', ['x', 'weight', 'bias'], ['conv'], kernel_shape=[3, 3]),
        helper.make_node('Relu', ['conv'], ['relu']),
        helper.make_node('GlobalAveragePool', ['relu'], ['mean']),
        helper.make_node('Shape', ['mean'], ['shape']),
        helper.make_node('Slice', ['shape', 'first', 'end', 'first'], ['batch']),
        helper.make_node('Concat', ['batch', 'minus'], ['flat_shape'], axis=0),
        helper.make_node('Reshape', ['mean', 'flat_shape'], ['flat']),
        helper.make_node('MatMul', ['flat', 'matrix'], ['scores']),
    ]
    graph = helper.make_graph(
        nodes,
        'tiny',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)]), str(path))
    return str(path)
