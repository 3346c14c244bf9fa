# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How long calls of several models take, measured side by side."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from gpu_runtime.models.model import Model

WARM_UP = 3
ROUNDS = 30
LONGEST_S = 5.0
"""Rounds end after this, however few they are."""


def measure(
    models: Mapping[str, Model], inputs: tuple[torch.Tensor, ...], device: torch.device
) -> dict[str, float]:
    """
    Measure models in turn, so that what else happens on the machine meets all of them.

    Parameters
    ----------
    models : Mapping of str to Model
        Prepared for the inputs.
    inputs : tuple of torch.Tensor
        On the device.
    device : torch.device
        Where they run.

    Returns
    -------
    dict of str to float
        Median milliseconds of one call, by events on the current stream where there are such.
        Blocks for seconds.

    """
    clock = _on_device if device.type == 'cuda' else _on_host
    times: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        for _ in range(WARM_UP):
            model(*inputs)
    end_s = time.monotonic() + LONGEST_S
    for _ in range(ROUNDS):
        for name, model in models.items():
            times[name].append(clock(model, inputs))
        if time.monotonic() > end_s:
            break
    return {name: median(values) for name, values in times.items()}


def _on_host(model: Model, inputs: tuple[torch.Tensor, ...]) -> float:
    begin_s = time.perf_counter()
    model(*inputs)
    return (time.perf_counter() - begin_s) * 1e3


def _on_device(model: Model, inputs: tuple[torch.Tensor, ...]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    model(*inputs)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))
