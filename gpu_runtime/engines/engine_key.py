# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What an engine was made of: if any of it changes, it is another engine."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import dataclass
import hashlib
import json

FORMAT = 1
"""Of the entries in the store; another one makes other keys."""


@dataclass(frozen=True)
class EngineKey:
    """
    Identity of an engine.

    Parameters
    ----------
    model : str
        The network, as people name it.
    backend : str
        The compiler, or ``'auto'`` for what was chosen and why.
    precision : str
        Its arithmetic.
    inputs : str
        Types and shapes of the inputs.
    device : str
        Model of the GPU or CPU.
    graph : str
        Hash of what the network computes.
    weights : str
        Hash of its weights.
    libraries : str
        Versions of everything that has a part in it.
    format : int
        Of the store.

    """

    model: str
    backend: str
    precision: str
    inputs: str
    device: str
    graph: str
    weights: str
    libraries: str
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """Hash of all of it; the name of the entry."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
