# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with its casts as one module, for compilers to trace."""

from __future__ import annotations

import torch

from gpu_runtime.models.forward import Forward


class FlatModule(torch.nn.Module):
    """
    A network with its casts as one module, for compilers.

    Parameters
    ----------
    forward : Forward
        What it does.

    """

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.network = forward.module
        self._forward_pass = forward

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the network.

        Parameters
        ----------
        *inputs : torch.Tensor
            As the network takes them.

        Returns
        -------
        tuple of torch.Tensor
            Flat, floating ones as float32.

        """
        return self._forward_pass.flat(*inputs)
