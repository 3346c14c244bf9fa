# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX's GridSample, which onnx2torch does not know: detection transformers need it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode

_MODES = {'linear': 'bilinear', 'cubic': 'bicubic'}
"""Names of opset 20 and later; those of opset 16 are torch's own."""


class GridSample(torch.nn.Module):
    """
    Sample a picture at the points of a grid.

    Parameters
    ----------
    mode : str
        Interpolation, spelt as in ONNX.
    padding_mode : str
        ``'zeros'``, ``'border'`` or ``'reflection'``.
    align_corners : bool
        Whether -1 and 1 are the centres of the outer pixels, or their edges.

    """

    def __init__(self, mode: str, padding_mode: str, align_corners: bool) -> None:
        super().__init__()
        self._mode = _MODES.get(mode, mode)
        self._padding_mode = padding_mode
        self._align_corners = align_corners

    def forward(self, picture: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        """
        Sample.

        Parameters
        ----------
        picture : torch.Tensor
            Shape (N, C, H, W).
        grid : torch.Tensor
            Shape (N, h, w, 2), x and y from -1 to 1.

        Returns
        -------
        torch.Tensor
            Shape (N, C, h, w).  Does not block.

        """
        return torch.nn.functional.grid_sample(
            picture,
            grid,
            mode=self._mode,
            padding_mode=self._padding_mode,
            align_corners=self._align_corners,
        )


@functools.cache
def register_grid_sample() -> None:
    """Teach onnx2torch the operation, once per process."""
    from onnx2torch.node_converters.registry import add_converter
    from onnx2torch.utils.common import onnx_mapping_from_node
    from onnx2torch.utils.common import OperationConverterResult

    def convert(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
        get = node.attributes.get
        module = GridSample(
            get('mode', 'bilinear'),
            get('padding_mode', 'zeros'),
            bool(get('align_corners', 0)),
        )
        return OperationConverterResult(module, onnx_mapping_from_node(node))

    for version in (16, 20, 22):
        add_converter(operation_type='GridSample', version=version)(convert)
