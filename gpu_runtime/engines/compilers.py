# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backends that compile, by the value of the parameter ``backend``."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gpu_runtime.engines.compiler import Compiler
from gpu_runtime.engines.inductor_compiler import InductorCompiler
from gpu_runtime.engines.tensorrt_compiler import TensorrtCompiler

COMPILERS: dict[str, Compiler] = {'tensorrt': TensorrtCompiler(), 'compile': InductorCompiler()}
"""In the order in which they are built: quick and safe ones first."""


def usable(device: torch.device, precision: str) -> Mapping[str, Compiler]:
    """
    Return the compilers that can be used here.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    precision : str
        One of ``PRECISIONS``.

    Returns
    -------
    Mapping of str to Compiler
        By backend.

    """
    return {
        name: compiler
        for name, compiler in COMPILERS.items()
        if not compiler.problem(device, precision)
    }
