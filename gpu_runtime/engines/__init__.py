# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled networks: how they are built aside, kept on disk, and take over between frames."""

from __future__ import annotations

from gpu_runtime.engines.agreement import Agreement
from gpu_runtime.engines.agreement import compare
from gpu_runtime.engines.agreement import TOLERANCES
from gpu_runtime.engines.compiler import Compiler
from gpu_runtime.engines.engine_builds import EngineBuilds
from gpu_runtime.engines.engine_entry import EngineEntry
from gpu_runtime.engines.engine_key import EngineKey
from gpu_runtime.engines.engine_store import default_folder
from gpu_runtime.engines.engine_store import EngineStore

__all__ = [
    'TOLERANCES',
    'Agreement',
    'Compiler',
    'EngineBuilds',
    'EngineEntry',
    'EngineKey',
    'EngineStore',
    'compare',
    'default_folder',
]
