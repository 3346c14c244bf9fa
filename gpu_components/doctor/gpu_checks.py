# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at on the way to the GPU: the driver and the cards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_runtime.errors import CudaError

if TYPE_CHECKING:
    from gpu_runtime.machine import CardFacts

GIB = 1 << 30
NEEDED_FREE = 2 * GIB
"""Five plain PyTorch stages in one process took 1,790 MiB (H100, 640x480)."""


def driver_and_cards() -> Iterator[Finding]:
    """Check the driver, every card, and that torch can use both."""
    import torch  # which may be what is missing

    from gpu_runtime import machine
    from gpu_runtime.card_memory import read_card

    cards, cuda = machine.cards(), machine.cuda_of_torch()
    if not cards:
        yield _no_card(cuda)
        return
    try:
        card = read_card(torch.device('cuda', 0))
        yield _driver(card.driver, card.cuda, cuda)
    except CudaError as error:
        yield Finding('driver', WARNING, str(error), 'install nvidia-ml-py; see also nvidia-smi')
    for facts in cards:
        yield _card(facts)


def _no_card(built: str) -> Finding:
    remedy = (
        'for a GPU install the NVIDIA driver, see that nvidia-smi lists the card and that '
        'CUDA_VISIBLE_DEVICES is not empty; in a container start it with --gpus all'
    )
    if not built:
        remedy = 'this torch is a CPU build: install one with CUDA'
    return Finding('GPU', WARNING, 'none that torch can use; everything runs on the CPU', remedy)


def _driver(driver: str, cuda: tuple[int, int], of_torch: str) -> Finding:
    built = int(of_torch.partition('.')[0])
    text = f'{driver}, runs CUDA up to {cuda[0]}.{cuda[1]}'
    if built > cuda[0]:
        remedy = f'install a newer driver, or a torch built with CUDA {cuda[0]}'
        return Finding('driver', ERROR, f'{text}; torch was built with CUDA {built}', remedy)
    return Finding('driver', OK, text)


def _card(card: CardFacts) -> Finding:
    name = f'GPU cuda:{card.index}'
    text = (
        f'{card.name}, compute capability {card.capability}, '
        f'{card.free / GIB:.1f} of {card.total / GIB:.1f} GiB free'
    )
    if not card.supported:
        remedy = 'install a torch built for it, or set device:=cpu'
        return Finding(name, ERROR, f'{text}; this torch has no code for it', remedy)
    if card.free < NEEDED_FREE:
        remedy = 'end other processes on it (nvidia-smi), or start with params/small_gpu.yaml'
        return Finding(name, WARNING, text, remedy)
    return Finding(name, OK, text)


CHECKS = (driver_and_cards,)
