# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the machine offers: CUDA devices, and whether torch and CuPy can use them."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class CardFacts:
    """
    One CUDA device.

    Parameters
    ----------
    index : int
        N of ``cuda:N``.
    name : str
        What it calls itself.
    capability : str
        Compute capability, such as ``'9.0'``.
    free : int
        Bytes that no process holds.
    total : int
        Bytes it has.
    supported : bool
        Whether this build of torch has code for it.

    """

    index: int
    name: str
    capability: str
    free: int
    total: int
    supported: bool


def cards() -> list[CardFacts]:
    """
    Return the CUDA devices that torch sees; empty without any.

    Returns
    -------
    list of CardFacts
        Starts CUDA on each of them: takes seconds, and some memory while the process lives.

    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [_card(index) for index in range(count)]


def _card(index: int) -> CardFacts:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return CardFacts(
        index=index,
        name=properties.name,
        capability=f'{properties.major}.{properties.minor}',
        free=free,
        total=total,
        supported=_has_code(properties.major, properties.minor),
    )


def _has_code(major: int, minor: int) -> bool:
    """Return whether torch has machine code of this generation, or an older one's PTX."""
    built = torch.cuda.get_arch_list()
    same = [int(name[3:].rstrip('af')) for name in built if name.startswith('sm_')]
    older = [int(name[8:].rstrip('af')) for name in built if name.startswith('compute_')]
    number = major * 10 + minor
    return any(sm // 10 == major and sm <= number for sm in same) or any(
        ptx <= number for ptx in older
    )


def cuda_of_torch() -> str:
    """Return the CUDA version that torch was built with, such as ``'13.0'``; empty for none."""
    return torch.version.cuda or ''


def nms_problem() -> str:
    """Return why torchvision's operators do not work with this torch; empty if they do."""
    try:
        from torchvision.ops import nms

        box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        nms(box, torch.tensor([1.0]), 0.5)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return ''


def cupy_problem() -> str:
    """
    Return why CuPy cannot run a kernel on the first CUDA device; empty if it can.

    Returns
    -------
    str
        Blocks for the seconds that compiling a kernel takes the first time.

    """
    try:
        import cupy

        doubled = cupy.ElementwiseKernel('float32 x', 'float32 y', 'y = 2 * x', 'doctor_double')
        if doubled(cupy.ones(4, 'float32')).sum().item() != 8.0:
            return 'a kernel gave a wrong result'
    except Exception as error:
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return ''
