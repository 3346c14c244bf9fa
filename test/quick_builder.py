# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The builder with a compiler that takes a moment: the real one takes tens of seconds.

Run as a script it is a builder.  ``QUICK_COMPILER`` says what goes wrong: ``wrong`` results, a
``crash``, or a build that ``hangs``.
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


class Wrong(torch.nn.Module):
    """A network that is off by a tenth."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the network's outputs, each too large."""
        return tuple(output * 1.1 for output in self.network(x))


class QuickCompiler:
    """Records a network with torch.jit instead of compiling it."""

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
        """Record, or do what the environment says."""
        what = os.environ.get('QUICK_COMPILER', '')
        if what == 'crash':
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == 'hangs':
            time.sleep(600.0)
        module = Wrong(module) if what == 'wrong' else module
        with torch.no_grad():
            torch.jit.save(torch.jit.trace(module, inputs, check_trace=False), str(file))
        return 'quick'

    def load(self, file: Path, device: torch.device) -> Any:
        """Load the recording."""
        return torch.jit.load(str(file), map_location=device)


if __name__ == '__main__':
    COMPILERS.clear()
    COMPILERS['compile'] = QuickCompiler()
    sys.exit(builder.main())
