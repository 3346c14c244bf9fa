# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From what a network says of each class to a score between 0 and 1."""

from __future__ import annotations

from typing import Literal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Activation = Literal['auto', 'softmax', 'sigmoid', 'none']

ACTIVATIONS: tuple[Activation, ...] = ('auto', 'softmax', 'sigmoid', 'none')
"""Every value of the parameter ``activation``."""

_SUM_TOLERANCE = 1e-2
"""Float16 probabilities of a thousand classes add up to one no better."""


def resolve_activation(activation: Activation, outputs: torch.Tensor) -> Activation:
    """
    Decide what turns a network's outputs into scores.

    Parameters
    ----------
    activation : str
        A choice is kept; ``'auto'`` looks whether the outputs are probabilities already.
    outputs : torch.Tensor
        Of any picture, classes in dimension 1.

    Returns
    -------
    str
        ``'softmax'``, ``'sigmoid'`` or ``'none'``.  Blocks until the outputs are there.

    """
    if activation != 'auto':
        return activation
    if bool((outputs < 0).any()):
        return 'softmax'
    ones = ((outputs.sum(dim=1) - 1.0).abs() < _SUM_TOLERANCE).all()
    return 'none' if bool(ones) else 'softmax'


def activate(outputs: torch.Tensor, activation: Activation) -> torch.Tensor:
    """
    Return scores.

    Parameters
    ----------
    outputs : torch.Tensor
        Classes in dimension 1.
    activation : str
        As :func:`resolve_activation` returned it.

    Returns
    -------
    torch.Tensor
        The same shape, 0 to 1.  Does not block.

    """
    if activation == 'softmax':
        return outputs.softmax(dim=1)
    return outputs.sigmoid() if activation == 'sigmoid' else outputs
