# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of a network: its name, its type, and how a network is brought to it."""

from __future__ import annotations

from types import MethodType
from typing import Any
from typing import Literal

import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.models.memory_order import to_channels_last
from gpu_runtime.models.source_kind import SourceKind

Precision = Literal['fp32', 'tf32', 'fp16', 'bf16']

PRECISIONS: tuple[Precision, ...] = ('fp32', 'tf32', 'fp16', 'bf16')
"""Every value of the parameter ``precision``."""

_DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16}
_AMPERE = (8, 0)
"""First compute capability with bf16 and TF32 (CUDA C++ Programming Guide, feature table)."""


def keep_fp32_exact() -> None:
    """
    Switch TF32 off for the whole process: a network in fp32 is computed in float32.

    torch has it on for convolutions.  The context calls this once; no other code touches the
    switches, and networks with precision tf32 do without them.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def dtype_of(precision: str) -> torch.dtype:
    """
    Return the type of weights and intermediate values.

    Parameters
    ----------
    precision : str
        One of :data:`PRECISIONS`.

    Returns
    -------
    torch.dtype
        float32 for fp32 and tf32.

    """
    return _DTYPES.get(precision, torch.float32)


def precision_problem(precision: str, device: torch.device) -> str:
    """
    Tell why a device cannot compute in a precision.

    Parameters
    ----------
    precision : str
        One of :data:`PRECISIONS`.
    device : torch.device
        Where the network runs.

    Returns
    -------
    str
        The reason with the remedy; empty if it can.

    """
    if precision == 'fp32':
        return ''
    if device.type != 'cuda':
        return f'precision {precision} needs a CUDA device, got {device}; set precision fp32'
    if precision == 'fp16' or not torch.cuda.is_available():
        return ''
    found = torch.cuda.get_device_capability(device)
    if found >= _AMPERE:
        return ''
    return (
        f'precision {precision} needs compute capability 8.0 or newer, {device} has '
        f'{found[0]}.{found[1]}; set precision fp16'
    )


def casting_device(kind: SourceKind, device: torch.device) -> torch.device:
    """
    Return where a network is loaded to be brought to its precision.

    Parameters
    ----------
    kind : SourceKind
        Where it comes from.
    device : torch.device
        Where it will run.

    Returns
    -------
    torch.device
        The host, so that float32 weights never take memory of the device; for traced networks,
        which name the device in their graphs, that device.

    """
    traced = kind in (SourceKind.EXPORTED, SourceKind.TORCHSCRIPT)
    return device if traced else torch.device('cpu')


def may_fuse(device: torch.device, weights: str) -> bool:
    """
    Tell whether convolutions take along what follows them.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    weights : str
        As for :meth:`ModelSource.load`.

    Returns
    -------
    bool
        On CUDA; not with random weights, which are handed to whoever compiles the network, by the
        names that they have before the batch norms are folded.

    """
    return device.type == 'cuda' and weights != 'none'


def bring_to(
    module: torch.nn.Module, precision: str, kind: SourceKind, *, fuse: bool = False
) -> torch.nn.Module:
    """
    Bring a network to a precision; changes the module that is given.

    Parameters
    ----------
    module : torch.nn.Module
        In float32.
    precision : str
        One of :data:`PRECISIONS`.
    kind : SourceKind
        Where it came from.
    fuse : bool
        Whether convolutions take along what follows them in half precision: for CUDA, by an
        operation that no compiler knows.

    Returns
    -------
    torch.nn.Module
        The same network, its weights halved for fp16 and bf16 and in the memory order that
        tensor cores like where that is faster; its convolutions changed for tf32.

    Raises
    ------
    ModelError
        If tf32 is asked of TorchScript, which cannot be changed.

    """
    if precision == 'tf32':
        return _convolve_in_tf32(module, kind)
    if precision == 'fp32':
        return module
    if fuse and kind is not SourceKind.TORCHSCRIPT:
        # Imported here: it takes torchvision along, which takes long to load.
        from gpu_runtime.models.fused_convolutions import fuse_convolutions

        fuse_convolutions(module)
    return to_channels_last(module.to(dtype_of(precision)), kind)


def _convolve_in_tf32(module: torch.nn.Module, kind: SourceKind) -> torch.nn.Module:
    """
    Let the convolutions of one network use TF32.

    torch's switch for it belongs to the process and would change every other network; but
    ``aten::_convolution`` takes it as an argument.  Matrix products have no such argument and
    stay in float32.
    """
    if kind is SourceKind.TORCHSCRIPT:
        raise ModelError(
            'precision tf32 changes the layers of the network, and TorchScript has none that can '
            'be changed; expected an .onnx or .pt2 file, or set precision fp32 or fp16'
        )
    for layer in module.modules():
        if isinstance(layer, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)):
            if not isinstance(layer.padding, str) and layer.padding_mode == 'zeros':
                layer._conv_forward = MethodType(_tf32_forward, layer)  # type: ignore[method-assign]
        elif isinstance(layer, torch.fx.GraphModule):
            _rewrite(layer)
    return module


def _tf32_forward(
    layer: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return _tf32_convolution(
        x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups
    )


def _tf32_convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """Convolve as ``aten::conv2d`` does, in TF32 whatever the process-wide switch says."""
    zeros = [0] * len(stride)
    flags = (torch.backends.cudnn.benchmark, False, torch.backends.cudnn.enabled, True)
    result: torch.Tensor = torch.ops.aten._convolution(
        x, weight, bias, stride, padding, dilation, False, zeros, groups, *flags
    )
    return result


def _rewrite(module: torch.fx.GraphModule) -> None:
    """Replace the two-dimensional convolutions in the graph of an exported program."""
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.conv2d.default:
            node.target = _tf32_convolution
    module.recompile()
