# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at in the Python environment: libraries, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.metadata import PackageNotFoundError
from importlib.metadata import requires
from importlib.metadata import version
import re
import sys

from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING

MADE_FOR = ((3, 10), (3, 11), (3, 12))


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
    if sys.version_info[:2] not in MADE_FOR:
        known = ', '.join(f'{major}.{minor}' for major, minor in MADE_FOR)
        text = f'{found} is none of those that this is made for'
        yield Finding('Python', WARNING, text, f'use one of {known}')
    else:
        yield Finding('Python', OK, found)


def torch_and_torchvision() -> Iterator[Finding]:
    """Check that both are there and made for each other."""
    if not installed('torch'):
        remedy = 'install a torch with CUDA, as pip_env/requirements.in names it'
        yield Finding('torch', ERROR, 'not installed', remedy)
        return
    import torch

    from gpu_runtime import machine

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


def cupy() -> Iterator[Finding]:
    """Check that there is one CuPy, for torch's CUDA, and that it runs."""
    from gpu_runtime import machine

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
    from gpu_runtime import machine

    return bool(machine.cards())


def tensorrt() -> Iterator[Finding]:
    """Check for the optional TensorRT, and that it is of torch's release."""
    from gpu_runtime.engines.tensorrt_library import DISTRIBUTIONS

    found = {name: number for name in DISTRIBUTIONS if (number := installed(name))}
    release = '.'.join(installed('torch').split('.')[:2])
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


CHECKS = (python, torch_and_torchvision, cupy, tensorrt)
