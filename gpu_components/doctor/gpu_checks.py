# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at on the way to the GPU: driver, cards, libraries and their fit."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.metadata import PackageNotFoundError
from importlib.metadata import requires
from importlib.metadata import version
import re
import sys

import torch

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING
from gpu_runtime import machine
from gpu_runtime.card_memory import read_card
from gpu_runtime.errors import CudaError

GIB = 1 << 30
NEEDED_FREE = 2 * GIB
"""Five plain PyTorch stages in one process took 1,790 MiB (H100, 640x480)."""

TESTED_PYTHON = ((3, 10), (3, 11), (3, 12))

TENSORRT = ('torch-tensorrt-rtx', 'torch-tensorrt')


def installed(name: str) -> str:
    """
    Return the version of a Python distribution.

    Parameters
    ----------
    name : str
        As package indexes know it.

    Returns
    -------
    str
        Empty if it is not installed.

    """
    try:
        return version(name)
    except PackageNotFoundError:
        return ''


def python() -> Iterator[Finding]:
    """Check the interpreter."""
    found = '.'.join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] not in TESTED_PYTHON:
        known = ', '.join(f'{major}.{minor}' for major, minor in TESTED_PYTHON)
        yield Finding('Python', WARNING, f'{found}, not tested with it', f'known to work: {known}')
    else:
        yield Finding('Python', OK, found)


def torch_and_torchvision() -> Iterator[Finding]:
    """Check that both are there and made for each other."""
    cuda = machine.cuda_of_torch()
    yield Finding('torch', OK, f'{torch.__version__}, {f"CUDA {cuda}" if cuda else "CPU only"}')
    found = installed('torchvision')
    if not found:
        yield Finding('torchvision', ERROR, 'not installed', 'install torchvision')
        return
    wanted = _pin('torchvision', 'torch')
    problem = machine.nms_problem()
    if wanted and installed('torch').partition('+')[0] != wanted:
        problem = problem or f'it was made for torch {wanted}'
    if problem:
        remedy = f'install torch {wanted} and torchvision {found} from one and the same source'
        yield Finding('torchvision', ERROR, f'{found} does not fit torch: {problem}', remedy)
    else:
        yield Finding('torchvision', OK, f'{found}, made for this torch')


def driver_and_cards() -> Iterator[Finding]:
    """Check the driver, every card, and that torch can use both."""
    cards = machine.cards()
    if not cards:
        yield _no_card()
        return
    try:
        card = read_card(torch.device('cuda', 0))
        yield _driver(card.driver, card.cuda)
    except CudaError as error:
        yield Finding('driver', WARNING, str(error), 'install nvidia-ml-py; see also nvidia-smi')
    for facts in cards:
        yield _card(facts)


def _no_card() -> Finding:
    built = machine.cuda_of_torch()
    remedy = (
        'for a GPU install the NVIDIA driver, see that nvidia-smi lists the card and that '
        'CUDA_VISIBLE_DEVICES is not empty; in a container start it with --gpus all'
    )
    if not built:
        remedy = 'this torch is a CPU build: install one with CUDA'
    return Finding('GPU', WARNING, 'none that torch can use; everything runs on the CPU', remedy)


def _driver(driver: str, cuda: tuple[int, int]) -> Finding:
    built = tuple(map(int, machine.cuda_of_torch().split('.')[:2]))
    text = f'{driver}, runs CUDA up to {cuda[0]}.{cuda[1]}'
    if built[0] > cuda[0]:
        remedy = f'install a newer driver, or a torch built with CUDA {cuda[0]}'
        return Finding('driver', ERROR, f'{text}; torch was built with CUDA {built[0]}', remedy)
    return Finding('driver', OK, text)


def _card(card: machine.CardFacts) -> Finding:
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


def cupy() -> Iterator[Finding]:
    """Check that there is one CuPy, for torch's CUDA, and that it runs."""
    found = {
        name: distribution.version
        for distribution in distributions()
        if re.fullmatch(r'cupy(-cuda\d+x)?', name := str(distribution.metadata['Name']))
    }
    cuda = machine.cuda_of_torch().partition('.')[0]
    wanted = f'cupy-cuda{cuda}x'
    text = ', '.join(f'{name} {number}' for name, number in sorted(found.items()))
    if not found:
        yield Finding('CuPy', ERROR if _gpu() else WARNING, 'not installed', f'install {wanted}')
    elif len(found) > 1:
        yield Finding('CuPy', ERROR, text, f'they overwrite each other: keep only {wanted}')
    elif cuda and not found.keys() & {wanted, 'cupy'}:
        yield Finding('CuPy', ERROR, f'{text}; torch has CUDA {cuda}', f'install {wanted} instead')
    elif not _gpu():
        yield Finding('CuPy', OK, f'{text}, not tried without a GPU')
    elif problem := machine.cupy_problem():
        yield Finding('CuPy', ERROR, f'{text} fails: {problem}', f'install {wanted} anew')
    else:
        yield Finding('CuPy', OK, f'{text}, runs')


def _gpu() -> bool:
    return bool(machine.cards())


def tensorrt() -> Iterator[Finding]:
    """Check for the optional TensorRT, and that it is of torch's release."""
    found = {name: number for name in TENSORRT if (number := installed(name))}
    release = '.'.join(torch.__version__.split('.')[:2])
    if not found:
        if _gpu():
            remedy = f'for the fastest backend install torch-tensorrt-rtx {release}.*'
            yield Finding('TensorRT', WARNING, 'not installed; other backends work', remedy)
        else:
            yield Finding('TensorRT', OK, 'not installed, and of no use without a GPU')
        return
    text = ', '.join(f'{name} {number}' for name, number in found.items())
    if any(not number.startswith(f'{release}.') for number in found.values()):
        remedy = f'install torch-tensorrt-rtx {release}.*, or uninstall it'
        yield Finding('TensorRT', ERROR, f'{text} is not for torch {release}', remedy)
    else:
        yield Finding('TensorRT', OK, f'{text}, for this torch')


def _pin(name: str, dependency: str) -> str:
    """Return the exact version of a dependency that a distribution asks for; empty if none."""
    for requirement in requires(name) or ():
        if match := re.match(rf'{dependency}\s*\(?==\s*([\w.]+)', requirement):
            return match[1]
    return ''


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    torch_and_torchvision,
    driver_and_cards,
    cupy,
    tensorrt,
)
