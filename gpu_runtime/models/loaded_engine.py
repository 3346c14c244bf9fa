# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""An engine in the place of a network's module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.models.forward import Forward


class LoadedEngine(torch.nn.Module):
    """
    A loaded engine as a module without weights of its own.

    Parameters
    ----------
    run : callable
        As :meth:`Compiler.load` returns it.

    """

    def __init__(self, run: Any) -> None:
        super().__init__()
        self._held: tuple[Any, ...] = (run,)  # in a tuple, so that a module is no child

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the engine.

        Parameters
        ----------
        *inputs : torch.Tensor
            Of the shapes and types it was built for.

        Returns
        -------
        tuple of torch.Tensor
            New tensors.

        """
        # Engines know the strides of their example, and do not check.
        outputs = self._held[0](*(tensor.contiguous() for tensor in inputs))
        return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)

    def close(self) -> None:
        """Let the engine go; the device must have finished with it."""
        held, self._held = self._held, ()
        for run in held:
            close = getattr(run, 'close', None)
            if close is not None:
                close()


def load_engine(backend: str, file: Path, device: torch.device) -> Forward:
    """
    Load an engine for a model to run.

    Parameters
    ----------
    backend : str
        The compiler that built it.
    file : Path
        Trusted, as it runs native code.
    device : torch.device
        Where it runs.

    Returns
    -------
    Forward
        Takes inputs as they come.  Blocks.

    """
    run = COMPILERS[backend].load(file, device)
    return Forward(LoadedEngine(run), dtype=None)
