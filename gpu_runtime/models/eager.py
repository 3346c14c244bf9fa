# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backend that runs a module as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_runtime.captured_graph import is_capturing
from gpu_runtime.errors import LifecycleError

if TYPE_CHECKING:
    import torch

    from gpu_runtime.models.forward import Forward


class EagerModel:
    """
    Run a network operation by operation; follows :class:`~gpu_runtime.models.Model`.

    Parameters
    ----------
    forward : Forward
        The module and its casts.

    """

    def __init__(self, forward: Forward) -> None:
        self._forward: Forward | None = forward

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """
        Run the network twice, so that libraries load and choose their algorithms now.

        Parameters
        ----------
        example_inputs : tuple of torch.Tensor
            Inputs as a frame will give them.  May block.

        """
        self(*example_inputs)
        self(*example_inputs)

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the network on the current stream.

        Parameters
        ----------
        *inputs : torch.Tensor
            On the model's device.

        Returns
        -------
        tuple of torch.Tensor
            New tensors that belong to the caller.  Does not block for networks of fixed shape.

        Raises
        ------
        LifecycleError
            After :meth:`close`, and where the stage captures a graph: eager was asked for.

        """
        if self._forward is None:
            raise LifecycleError('this model is closed: load it again before calling it')
        if is_capturing():
            raise LifecycleError('this model runs eagerly: it takes no part in a graph')
        return self._forward(*inputs)

    def close(self) -> None:
        """Free the weights; torch's allocator keeps the memory until it is trimmed."""
        forward, self._forward = self._forward, None
        if forward is not None:
            forward.close()
