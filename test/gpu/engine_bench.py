# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What tests with engines share: what can be had here, waiting for it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
import re
import time

import pytest
import torch

from gpu_runtime.engines.agreement import TOLERANCES
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.models.precision import precision_problem

CRASHED = 'failed: compile: the builder was ended by signal '
_REFUSED = re.compile(r'failed: (\w+): error (\S+) of (\S+) allowed; ')


def require(backend: str, device: torch.device, precision: str) -> None:
    """Skip, with the reason that a user would get, what this machine cannot do."""
    problem = precision_problem(precision, device)
    if not problem and backend in COMPILERS:
        problem = COMPILERS[backend].problem(device, precision)
    if problem:
        pytest.skip(problem)


def until_told(note: Callable[[], str], serve: Callable[[], object]) -> int:
    """Serve until there is an engine or none; returns how often the network itself answered."""
    end, calls = time.monotonic() + 800.0, 0
    while not note().startswith(('ready', 'failed')):
        assert time.monotonic() < end, note()
        serve()
        calls += 1
        time.sleep(0.01)
    return calls


def refusal(told: str, backend: str, precision: str) -> float | None:
    """
    Return the error for which an engine was refused; None if it was not, or for another reason.

    An engine with an error was built, loaded and run, and does not agree with the network.
    """
    found = _REFUSED.match(told)
    limit = f'{TOLERANCES[precision]:.1e}'
    return float(found[2]) if found and found.group(1, 3) == (backend, limit) else None


def cannot_run(told: str, precision: str) -> bool:
    """
    Return whether TensorRT built an engine in bf16 and then would not run it.

    TensorRT-RTX 1.4 does so on an H200 with YOLOX and EfficientNet; ResNet-18 it runs.
    """
    return (
        precision == 'bf16'
        and told.startswith('failed: tensorrt: ')
        and 'exec_ctx.get() != nullptr' in told
    )
