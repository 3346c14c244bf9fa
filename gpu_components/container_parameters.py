# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the container; all are fixed when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_components.parameters import parameter
from gpu_components.parameters import Parameters


@dataclass(frozen=True)
class ContainerParameters(Parameters):
    """Parameters of :class:`~gpu_components.container.Container`."""

    device: str = parameter(
        'auto', 'Where everything runs: auto, cpu, cuda or cuda:N.', read_only=True
    )
    torch_threads: int = parameter(
        0,
        'CPU threads that torch may use; 0 keeps its default, one per core.',
        unit='threads',
        ge=0,
        le=1024,
        read_only=True,
    )
    egress_threads: int = parameter(
        2,
        'Threads that build and publish results, of all components; more help where pictures are '
        'large and many.',
        unit='threads',
        ge=1,
        le=64,
        read_only=True,
    )
    manifest: str = parameter(
        '', 'File that the service ~/save writes, for --load to bring back.', read_only=True
    )
    allow_module_plugins: bool = parameter(
        False, 'Load components by module:Class, which runs any code by name.', read_only=True
    )
    allow_unsafe_models: bool = parameter(
        False, 'Accept model files that can run code while they load.', read_only=True
    )
    engine_store: str = parameter(
        '',
        'Folder of compiled networks, private to this user; empty for '
        '$XDG_CACHE_HOME/gpu_perception/engines.',
        read_only=True,
    )
    engine_store_mb: int = parameter(
        0,
        'Most that compiled networks take on disk, those used longest ago go first; 0: none is '
        'made, and backend auto takes cuda_graph or eager.',
        unit='MiB',
        ge=0,
        le=1 << 20,
        read_only=True,
    )
