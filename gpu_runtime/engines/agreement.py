# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an engine computes what the network computes: one measure, one limit per precision."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from gpu_runtime.errors import EngineError

TOLERANCES: Mapping[str, float] = MappingProxyType(
    {'fp32': 1e-4, 'tf32': 20 * 2.0**-11, 'fp16': 20 * 2.0**-11, 'bf16': 20 * 2.0**-8}
)
"""
Largest error of any output, relative to eager float32.

Twenty unit roundoffs of the type (2 ** -11 for the 10-bit mantissas of fp16 and TF32, 2 ** -8 for
the 7 bits of bf16): independent errors of some hundred layers add up as the root of their number,
about ten, and that twice.  For fp32 (2 ** -24) the algorithms count and not the type: Winograd's
convolution loses up to three digits (Lavin and Gray 2015, arXiv:1509.09308, table 3).  An H100
measured 8e-4 for ResNet-18 in fp16 through TensorRT.
"""


@dataclass(frozen=True)
class Agreement:
    """
    How far two results are apart.

    Parameters
    ----------
    error : float
        The largest of all outputs: for floating ones the norm of the difference over the norm of
        the reference, for others the part of the elements that differ; inf where values are not
        finite.
    limit : float
        Of :data:`TOLERANCES`.

    """

    error: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the limit."""
        return self.error <= self.limit


def compare(
    outputs: Sequence[torch.Tensor], reference: Sequence[torch.Tensor], precision: str
) -> Agreement:
    """
    Compare the outputs of an engine with those of the network in eager float32.

    Parameters
    ----------
    outputs : sequence of torch.Tensor
        Of the engine.  Blocks until they are computed.
    reference : sequence of torch.Tensor
        Of the network, on the same device.
    precision : str
        Of the engine.

    Returns
    -------
    Agreement
        With the limit of the precision.

    Raises
    ------
    EngineError
        If their number or shapes differ: then the engine is of another network.

    """
    shapes = [[tuple(tensor.shape) for tensor in side] for side in (outputs, reference)]
    if shapes[0] != shapes[1]:
        raise EngineError(f'the engine returns {shapes[0]}; expected {shapes[1]}, as the network')
    errors = [_error(*pair) for pair in zip(outputs, reference, strict=True)]
    return Agreement(max(errors, default=0.0), TOLERANCES[precision])


def _error(output: torch.Tensor, reference: torch.Tensor) -> float:
    if output.numel() == 0:
        return 0.0
    if not reference.is_floating_point():
        return float((output != reference).double().mean())
    got, want = output.double(), reference.double()
    distance, size = float((got - want).norm()), float(want.norm())
    if distance != distance:  # not a number
        return float('inf')
    return distance / size if size else distance
