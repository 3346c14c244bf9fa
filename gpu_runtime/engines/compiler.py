# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What a backend that compiles has to provide.

Protocol: ``problem`` and ``libraries`` are called in the process that hosts the network, and must
be quick; ``build`` runs in a process of its own, ``load`` in both, on a thread that may block.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Protocol

import torch


class Compiler(Protocol):
    """Makes files out of networks, and functions out of the files."""

    def problem(self, device: torch.device, precision: str) -> str:
        """
        Tell why it cannot be used here.

        Parameters
        ----------
        device : torch.device
            Where the network runs.
        precision : str
            One of ``PRECISIONS``.

        Returns
        -------
        str
            The reason with the remedy; empty if it can be used.  Loads no library.

        """

    def libraries(self) -> Mapping[str, str]:
        """Return versions by name, for the key: another version makes another engine."""

    def build(
        self,
        module: torch.nn.Module,
        inputs: tuple[torch.Tensor, ...],
        file: Path,
        precision: str,
    ) -> str:
        """
        Compile a network.

        Parameters
        ----------
        module : torch.nn.Module
            From positional tensors to a flat tuple of tensors, in its precision.
        inputs : tuple of torch.Tensor
            Of the one shape and type it is compiled for.
        file : Path
            To be written.
        precision : str
            One of ``PRECISIONS``.

        Returns
        -------
        str
            What people should know of the result, such as parts that were not compiled; empty
            if all is well.

        """

    def load(
        self, file: Path, device: torch.device
    ) -> Callable[..., tuple[torch.Tensor, ...] | list[torch.Tensor]] | Any:
        """
        Load what ``build`` wrote.

        Parameters
        ----------
        file : Path
            Trusted: it may run native code.
        device : torch.device
            Where it runs.

        Returns
        -------
        callable
            Runs on the calling thread's current stream without waiting for the device.

        """
