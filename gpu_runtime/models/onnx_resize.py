# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX's Resize of opsets 18 and 19, which onnx2torch does not know: new exports have it."""

from __future__ import annotations

import contextlib
import functools
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode
    from onnx2torch.utils.common import OperationConverterResult

_HALF_PIXEL = ('half_pixel', 'pytorch_half_pixel')


@functools.cache
def register_resize() -> None:
    """Teach onnx2torch the operation, once per process."""
    from onnx2torch.node_converters.registry import add_converter
    from onnx2torch.node_converters.resize import OnnxResize
    from onnx2torch.utils.common import onnx_mapping_from_node
    from onnx2torch.utils.common import OperationConverterResult

    def convert(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
        mode, align_corners = resize_arguments(dict(node.attributes))
        module = OnnxResize(mode=mode, align_corners=align_corners, ignore_roi=True)
        return OperationConverterResult(module, onnx_mapping_from_node(node))

    for version in (18, 19):
        with contextlib.suppress(ValueError):  # a later onnx2torch may know it
            add_converter(operation_type='Resize', version=version)(convert)


def resize_arguments(attributes: dict[str, Any]) -> tuple[str, bool | None]:
    """
    Return the arguments of torch's interpolate that mean the same.

    Parameters
    ----------
    attributes : dict
        Of the node; absent ones have ONNX's defaults.

    Returns
    -------
    tuple
        Mode as ONNX spells it, and ``align_corners``.

    Raises
    ------
    NotImplementedError
        If torch has no resize like this one; it would be wrong by up to a pixel.

    """
    mode = attributes.get('mode', 'nearest')
    grid = attributes.get('coordinate_transformation_mode', 'half_pixel')
    plain = (
        not attributes.get('antialias', 0)
        and not attributes.get('exclude_outside', 0)
        and not attributes.get('axes')
        and attributes.get('keep_aspect_ratio_policy', 'stretch') == 'stretch'
    )
    if mode == 'nearest':
        floor = attributes.get('nearest_mode', 'round_prefer_floor') == 'floor'
        if plain and floor and grid == 'asymmetric':
            return mode, None
    elif plain and (mode == 'linear' or attributes.get('cubic_coeff_a', -0.75) == -0.75):
        if grid in _HALF_PIXEL:
            return mode, False
        if grid == 'align_corners':
            return mode, True
    raise NotImplementedError(f'Resize with {attributes} has no equal in torch')
