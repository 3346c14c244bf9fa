# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX files, turned into torch modules."""

from __future__ import annotations

from pathlib import Path
import threading
from typing import TYPE_CHECKING

from gpu_runtime.errors import ModelError
from gpu_runtime.models.grid_sample import register_grid_sample
from gpu_runtime.models.onnx_batch import free_batch
from gpu_runtime.models.onnx_opset18 import register_opset18
from gpu_runtime.models.static_shapes import StaticShapeModule

if TYPE_CHECKING:
    import onnx
    import torch


_TEACHING = threading.Lock()
"""What onnx2torch learns it refuses to learn twice, and components are prepared side by side."""


def load_onnx(path: Path) -> torch.nn.Module:
    """
    Convert an ONNX file with onnx2torch.

    Parameters
    ----------
    path : Path
        The file.  Reads all of it; blocks.

    Returns
    -------
    torch.nn.Module
        On the host, in evaluation mode.  A batch size that the file states is not enforced, and
        a graph that was exported for one picture mostly takes several.

    Raises
    ------
    ModelError
        If the file cannot be read, or holds an operation that cannot be converted.

    """
    import onnx

    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # onnx, protobuf and the file system raise unrelated types
        raise ModelError(
            f'{path} is not a valid ONNX model ({_first_line(error)}); expected a file that '
            'onnx.checker accepts: export or download it again'
        ) from error
    _require_convertible(model, path)
    return _convert(model, path)


def _convert(model: onnx.ModelProto, path: Path) -> torch.nn.Module:
    from onnx2torch import convert

    free_batch(model)
    _normalise(model.graph)
    try:
        return StaticShapeModule(convert(model).eval())
    except Exception as error:
        raise ModelError(
            f'{path} cannot be converted to torch ({_first_line(error)}); expected a graph that '
            'onnx2torch supports: export the network with torch.export (.pt2) instead'
        ) from error


def _normalise(graph: onnx.GraphProto) -> None:
    """Rewrite, without a change of meaning, what onnx2torch trips over."""
    from onnx import helper

    outputs = {output.name for output in graph.output}
    for node in graph.node:
        while node.input and not node.input[-1]:
            del node.input[-1]  # left out, as ONNX allows; onnx2torch looks for its value
    for node in list(graph.node):
        if len(node.output) > 1:
            # onnx2torch would return all outputs of this node where the graph returns one.
            for name in outputs.intersection(node.output):
                graph.node.append(helper.make_node('Identity', [name], [f'{name}/out']))
                next(output for output in graph.output if output.name == name).name += '/out'
    # onnx2torch turns node names into Python source by way of torch.fx, which does not quote
    # them: names of our own keep a hostile file from running code.
    for index, node in enumerate(graph.node):
        node.name = f'node_{index}'


def _require_convertible(model: onnx.ModelProto, path: Path) -> None:
    from onnx2torch.node_converters import get_converter

    with _TEACHING:
        register_grid_sample()
        register_opset18()
    versions = {opset.domain: opset.version for opset in model.opset_import}
    missing = set()
    for node in model.graph.node:
        try:
            get_converter(node.op_type, versions.get(node.domain, 0), node.domain)
        except NotImplementedError:
            missing.add(f'{node.op_type} (opset {versions.get(node.domain, 0)})')
    if missing:
        raise ModelError(
            f'{path} uses {", ".join(sorted(missing))}, which onnx2torch cannot convert; '
            'expected operations it knows: export the network with torch.export (.pt2) instead, '
            'or in another opset'
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
