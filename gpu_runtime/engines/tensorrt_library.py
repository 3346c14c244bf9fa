# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The one place that imports Torch-TensorRT and sets its process-wide switches."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from importlib.util import find_spec
import logging
import sys
from typing import Any

DISTRIBUTIONS = ('torch-tensorrt-rtx', 'torch-tensorrt')
"""Python distributions that bring the module ``torch_tensorrt``, the one to install first."""

_PARTS = ('tensorrt-rtx', 'tensorrt', 'tensorrt-cu13', 'tensorrt-cu12')


def installed() -> dict[str, str]:
    """
    Return what is installed of Torch-TensorRT and TensorRT, without importing it.

    Returns
    -------
    dict of str to str
        Versions by distribution; empty if there is no Torch-TensorRT.

    """
    found = _versions(DISTRIBUTIONS)
    return {**found, **_versions(_PARTS)} if found else {}


@lru_cache(maxsize=1)
def torch_tensorrt() -> Any:
    """
    Import the library and set what it keeps for the whole process.

    Returns
    -------
    module
        ``torch_tensorrt``.  Blocks for seconds at the first call.

    Raises
    ------
    Exception
        Whatever its import raises, for example without a driver.

    """
    _hide_missing_plugins()
    import torch_tensorrt as library

    # Graphs are recorded by CudaGraphModel, one per model; the library's own mode would record
    # every engine of the process.
    library.runtime.set_cudagraphs_mode(False)
    # One context drives one device: no look for the current device at each call.
    library.runtime.set_multi_device_safe_mode(False)
    logging.getLogger('torch_tensorrt').setLevel(logging.ERROR)
    return library


def _hide_missing_plugins() -> None:
    """
    Let the library see that TensorRT has no module for plugins in Python.

    ``tensorrt_rtx`` (1.4 to 1.7) has a package ``plugin`` that imports what its bindings do not
    hold; the library looks for it at its import and would fail there.
    """
    if find_spec('tensorrt_rtx') and not find_spec('tensorrt_rtx_bindings.plugin'):
        sys.modules['tensorrt.plugin'] = None  # type: ignore[assignment]


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
