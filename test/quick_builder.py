# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The builder with compilers that take a moment: the real ones take tens of seconds.

Run as a script it is a builder.  ``QUICK_COMPILERS`` says which there are and what goes wrong with
each, separated by spaces; ``compile:works`` if it is not set.  A compiler ``works``, gives
``wrong`` results, ``hangs``, or crashes the process: in ``build`` or in ``load``.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

import torch

from gpu_runtime.engines import builder
from gpu_runtime.engines.compilers import COMPILERS

COMMAND = (sys.executable, str(Path(__file__).resolve()))
MOMENT_S = 0.2
"""Long enough to be told of: what is over when somebody looks is not."""


class Wrong(torch.nn.Module):
    """A network that is off by a tenth."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the network's outputs, each too large."""
        return tuple(output * 1.1 for output in self.network(x))


class QuickCompiler:
    """
    Records a network with torch.jit instead of compiling it.

    Parameters
    ----------
    what : str
        Goes wrong.

    """

    def __init__(self, what: str = 'works') -> None:
        self.what = what

    def problem(self, device: torch.device, precision: str) -> str:
        """Have none."""
        return ''

    def libraries(self) -> Mapping[str, str]:
        """Return a version of its own."""
        return {'quick': '1'}

    def build(
        self,
        module: torch.nn.Module,
        inputs: tuple[torch.Tensor, ...],
        file: Path,
        precision: str,
    ) -> str:
        """Record, or do what goes wrong; never twice."""
        time.sleep(MOMENT_S)
        if file.exists():
            raise FileExistsError(f'{file.name} is built again')
        if self.what == 'build':
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.what == 'hangs':
            time.sleep(600.0)
        module = Wrong(module) if self.what == 'wrong' else module
        with torch.no_grad():
            torch.jit.save(torch.jit.trace(module, inputs, check_trace=False), str(file))
        return 'quick'

    def load(self, file: Path, device: torch.device) -> Any:
        """Load the recording, or crash."""
        if self.what == 'load':
            os.kill(os.getpid(), signal.SIGABRT)
        return torch.jit.load(str(file), map_location=device)


if __name__ == '__main__':
    COMPILERS.clear()
    for item in os.environ.get('QUICK_COMPILERS', 'compile:works').split():
        name, _, wrong = item.partition(':')
        COMPILERS[name] = QuickCompiler(wrong)
    sys.exit(builder.main())
