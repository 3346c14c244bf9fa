# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What a stage asks of a network, whatever runs it.

Protocol: a component calls ``prepare`` from its configuring thread, then ``__call__`` from the one
thread of its stage, then ``close`` once the stage has stopped.  Nothing is called concurrently.
"""

from __future__ import annotations

from typing import Protocol
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Model(Protocol):
    """A loaded network on one device."""

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """
        Warm up, and capture where the backend captures, for these shapes and types.

        Parameters
        ----------
        example_inputs : tuple of torch.Tensor
            Inputs as a frame will give them, on the model's device, also in their values: compiled
            networks are compared on them.  May block for seconds.

        """

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the network on the calling thread's current stream.

        Does not block for networks of fixed shape once prepared for the shapes given.

        Parameters
        ----------
        *inputs : torch.Tensor
            As the network takes them, on the model's device, ready on the current stream.

        Returns
        -------
        tuple of torch.Tensor
            The outputs, flattened in their own order, floating ones as float32; or what the
            ``finish`` makes of them that the model was loaded with.  With the
            ``cuda_graph`` backend they belong to the model and are overwritten by its next
            call: use or copy them on the same stream before it.

        """

    def close(self) -> None:
        """Release the device memory; the model must not be called afterwards."""
