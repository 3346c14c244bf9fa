# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Imports everything once, before threads import parts of it side by side."""

from __future__ import annotations

import importlib
import pkgutil

import gpu_runtime


def preload() -> None:
    """
    Import every module of this package, and with them torchvision.

    Two threads that import a package from different ends wait for each other, and Python gets
    them out of that by giving one a module that is not complete yet (``importlib``'s
    ``_ModuleLock``).  Components are prepared on threads of their own, and much is imported only
    when a network needs it.  Takes seconds the first time, most of them for torchvision.

    """
    for module in pkgutil.walk_packages(gpu_runtime.__path__, f'{gpu_runtime.__name__}.'):
        importlib.import_module(module.name)
