# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What figures of a machine depend on."""

from __future__ import annotations

import os
from pathlib import Path
import platform
from typing import Any

import torch

from gpu_runtime.machine import cards
from gpu_runtime.machine import cuda_of_torch


def machine_facts(device: str) -> dict[str, Any]:
    """
    Return what the figures depend on.

    Parameters
    ----------
    device : str
        Such as ``cuda:0``.

    Returns
    -------
    dict
        Names and versions.

    """
    chosen = torch.device(device)
    models = [
        line.partition(':')[2].strip()
        for line in Path('/proc/cpuinfo').read_text(errors='replace').splitlines()
        if line.startswith('model name')
    ]
    return {
        'device': device,
        'device_name': cards()[chosen.index or 0].name if chosen.type == 'cuda' else '',
        'cpu': models[0] if models else platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'cuda': cuda_of_torch() if chosen.type == 'cuda' else '',
    }
