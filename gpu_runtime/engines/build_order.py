# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a process is asked to build, as it is written down for it."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import dataclass
import json
from pathlib import Path

ORDER = 'order.json'
INPUTS = 'inputs.pt'
STATE = 'state.pt'


@dataclass(frozen=True)
class BuildOrder:
    """
    A network and the backends to try.

    Parameters
    ----------
    kind : str
        Value of a ``SourceKind``.
    name : str
        Of the source.
    weights : str
        As for ``ModelSource.load``.
    allow_unsafe_models : bool
        As for ``ModelSource.load``.
    backend : str
        What was asked for: one compiler, or ``'auto'``.
    precision : str
        Arithmetic of the network.
    device : str
        Where it runs.
    graph : str
        Hash that the loaded network must have; see ``graph_hash``.
    state : str
        Hash that its weights must have; see ``weights_hash``.

    """

    kind: str
    name: str
    weights: str
    allow_unsafe_models: bool
    backend: str
    precision: str
    device: str
    graph: str = ''
    state: str = ''

    @property
    def model(self) -> str:
        """The network, as people name it."""
        return f'torchvision/{self.name}' if self.kind == 'torchvision' else self.name

    @classmethod
    def read(cls, folder: Path) -> BuildOrder:
        """
        Read what :meth:`write` wrote.

        Parameters
        ----------
        folder : Path
            Of the build.

        Returns
        -------
        BuildOrder
            The order.

        """
        return cls(**json.loads((folder / ORDER).read_text(encoding='utf-8')))

    def write(self, folder: Path) -> None:
        """
        Write the order down.

        Parameters
        ----------
        folder : Path
            Of the build.

        """
        (folder / ORDER).write_text(json.dumps(asdict(self)), encoding='utf-8')
