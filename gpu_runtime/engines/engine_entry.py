# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One engine in the store: its file, and the index that says what it is."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any

from gpu_runtime.engines.engine_key import EngineKey

ENGINE = 'engine'
INDEX = 'index.json'

CHOICE = 'chosen'
"""Fact of an entry for ``auto``: the backend that won; empty if the network stays as it is."""

PROBLEM = 'problem'
"""Fact of an entry for a compiler: why there is no engine, and none is built again."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class EngineEntry:
    """
    An engine in the store.

    Parameters
    ----------
    folder : Path
        Holds the engine and its index.
    key : EngineKey
        What it was made of.
    sha256 : str
        Of the engine's file.
    nbytes : int
        Size of that file.
    used_s : float
        When it was used last, in seconds of ``time.time()``.
    facts : dict
        What was found out when it was built: time per call in ms, error, remarks.

    """

    folder: Path
    key: EngineKey
    sha256: str
    nbytes: int
    used_s: float
    facts: dict[str, Any]

    @property
    def file(self) -> Path:
        """The engine."""
        return self.folder / ENGINE

    @classmethod
    def read(cls, folder: Path) -> EngineEntry:
        """
        Read the index of an entry.

        Parameters
        ----------
        folder : Path
            Of the entry.

        Returns
        -------
        EngineEntry
            Its file is not looked at: see :meth:`intact`.

        Raises
        ------
        OSError, ValueError
            If there is none, or it cannot be read.

        """
        index = folder / INDEX
        try:
            data = json.loads(index.read_text(encoding='utf-8'))
            return cls(
                folder=folder,
                key=EngineKey(**data['key']),
                sha256=str(data['sha256']),
                nbytes=int(data['nbytes']),
                used_s=index.stat().st_mtime,
                facts=dict(data['facts']),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f'{index} is not the index of an engine: {error!r}') from error

    def write_index(self) -> None:
        """Write the index beside the engine."""
        data = {
            'key': asdict(self.key),
            'sha256': self.sha256,
            'nbytes': self.nbytes,
            'facts': self.facts,
        }
        text = json.dumps(data, indent=1, sort_keys=True)
        (self.folder / INDEX).write_text(text, encoding='utf-8')

    def intact(self) -> bool:
        """Return whether the engine is what its index says; reads it all."""
        return file_hash(self.file) == self.sha256


def file_hash(path: Path) -> str:
    """
    Return the SHA-256 of a file.

    Parameters
    ----------
    path : Path
        The file; read as a whole, so this blocks.

    Returns
    -------
    str
        Hexadecimal; empty if it cannot be read.

    """
    digest = hashlib.sha256()
    try:
        with path.open('rb') as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ''
    return digest.hexdigest()
