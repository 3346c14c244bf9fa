# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Engines on disk, for the next start.

Each entry is a folder of its own, written aside and renamed: it is there as a whole or not at all.
What is damaged or made of something else is as if it were not there.  Several processes may use
one store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import ExitStack
from contextlib import suppress
from dataclasses import replace
import logging
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any

from gpu_runtime.engines.engine_entry import ENGINE
from gpu_runtime.engines.engine_entry import EngineEntry
from gpu_runtime.engines.engine_entry import file_hash
from gpu_runtime.engines.engine_entry import INDEX
from gpu_runtime.engines.engine_key import EngineKey
from gpu_runtime.engines.private_folder import locked
from gpu_runtime.engines.private_folder import open_private
from gpu_runtime.engines.private_folder import sync
from gpu_runtime.errors import EngineError

_LOG = logging.getLogger(__name__)

MIB = 1 << 20
_ASIDE = 'aside-'
_OWNED = 'owned'
_LOCK_S = 60.0


def default_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/gpu_perception/engines``, below ``~/.cache`` by default."""
    cache = os.environ.get('XDG_CACHE_HOME', '')
    root = Path(cache) if os.path.isabs(cache) else Path.home() / '.cache'
    return root / 'gpu_perception' / 'engines'


class EngineStore:
    """
    A folder of engines.

    Parameters
    ----------
    folder : Path
        Private to this user; made at the first use.
    limit_mb : int
        Most that the engines may take, in MiB; those used longest ago go first.

    """

    def __init__(self, folder: Path, limit_mb: int) -> None:
        self.folder = folder.absolute()
        self.limit_mb = limit_mb

    def open(self) -> None:
        """
        Make the folder or check it, and clear away what ended processes left in it.

        Raises
        ------
        EngineError
            If it is not private to this user, or cannot be written.

        """
        open_private(self.folder)
        with self._changing():
            for path in self.folder.glob(f'{_ASIDE}*'):
                _remove_if_left(path)

    def find(self, key: EngineKey) -> EngineEntry | None:
        """
        Return the engine of a key, and note that it is used.

        Parameters
        ----------
        key : EngineKey
            What it must be made of.

        Returns
        -------
        EngineEntry or None
            Its file has the hash that its index says.  None if there is none; one that is damaged
            is removed.  Blocks while the file is read.

        Raises
        ------
        EngineError
            As :meth:`open`.

        """
        open_private(self.folder)
        folder = self.folder / key.digest
        if not folder.is_dir():
            return None
        entry = self._checked(folder, key)
        if entry is None:
            with self._changing():
                # Once more, as another process may have replaced it meanwhile.
                entry = self._checked(folder, key)
                if entry is None and folder.exists():
                    _LOG.warning('engine %s of %s is damaged and removed', folder, key.model)
                    self._discard(folder)
        return entry

    def add(self, key: EngineKey, file: Path, facts: dict[str, Any]) -> EngineEntry:
        """
        Move an engine into the store; makes room for it.

        Parameters
        ----------
        key : EngineKey
            What it is made of.
        file : Path
            The engine, in a folder of :meth:`aside`; moved.
        facts : dict
            What is worth telling about it; only what JSON can hold.

        Returns
        -------
        EngineEntry
            The entry; one that another process wrote meanwhile is replaced.  Blocks.

        Raises
        ------
        EngineError
            If it alone exceeds the limit, or cannot be written.

        """
        nbytes = file.stat().st_size
        if nbytes > self.limit_mb * MIB:
            raise EngineError(
                f'the engine has {nbytes / MIB:.0f} MiB, and the engine store may hold '
                f'{self.limit_mb}; increase engine_store_mb'
            )
        final = self.folder / key.digest
        try:
            made = Path(tempfile.mkdtemp(prefix='entry-', dir=file.parent))
            file.rename(made / ENGINE)
            entry = EngineEntry(made, key, file_hash(made / ENGINE), nbytes, 0.0, facts)
            entry.write_index()
            for path in (made / ENGINE, made / INDEX, made):
                sync(path)
            with self._changing():
                self._discard(final)
                made.rename(final)
                self._shrink(keep=final)
            sync(self.folder)
            return replace(entry, folder=final)
        except (OSError, ValueError) as error:
            raise EngineError(
                f'the engine cannot be kept in {self.folder} ({error}); see to space and '
                'permissions there, or set engine_store'
            ) from error

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """
        Lend a folder of the store to build in.

        Yields
        ------
        Path
            Removed at the end; if the process ends before, by the next that opens the store.

        Raises
        ------
        EngineError
            As :meth:`open`.

        """
        self.open()
        with ExitStack() as owned:
            with self._changing():
                folder = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self.folder))
                owned.callback(shutil.rmtree, folder, ignore_errors=True)
                owned.enter_context(locked(folder / _OWNED, timeout_s=0.0))
            yield folder

    def entries(self) -> list[EngineEntry]:
        """
        Return all engines that have a readable index.

        Returns
        -------
        list of EngineEntry
            Used last first.

        """
        found = []
        for index in self.folder.glob(f'*/{INDEX}'):
            try:
                found.append(EngineEntry.read(index.parent))
            except (OSError, ValueError):
                continue  # removed by another process, or damaged: found out when it is used
        return sorted(found, key=lambda entry: entry.used_s, reverse=True)

    def remove(self, folder: Path) -> None:
        """
        Remove an entry.

        Parameters
        ----------
        folder : Path
            Of the entry; one that is gone already is no error.

        """
        with self._changing():
            self._discard(folder)

    def _checked(self, folder: Path, key: EngineKey) -> EngineEntry | None:
        """Return an entry if it is of this key and as it was written, and note the use."""
        try:
            entry = EngineEntry.read(folder)
            if entry.key != key or not entry.intact():
                return None
            os.utime(folder / INDEX)
            return entry
        except (OSError, ValueError):
            return None

    def _shrink(self, keep: Path) -> None:
        """Remove what was used longest ago, until the rest is within the limit."""
        entries = self.entries()
        total = sum(entry.nbytes for entry in entries)
        for entry in reversed(entries):
            if total <= self.limit_mb * MIB:
                return
            if entry.folder != keep:
                self._discard(entry.folder)
                total -= entry.nbytes

    def _discard(self, folder: Path) -> None:
        """Take an entry away in one step; processes that have it open keep it."""
        if folder.exists():
            away = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self.folder))
            folder.rename(away / folder.name)
            shutil.rmtree(away, ignore_errors=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time rename entries."""
        with locked(self.folder / 'lock', timeout_s=_LOCK_S) as held:
            if not held:
                raise EngineError(
                    f'{self.folder}/lock is held by another process for {_LOCK_S:.0f} s; end it'
                )
            yield


def _remove_if_left(folder: Path) -> None:
    """Remove a folder made aside whose process has ended; nobody makes one meanwhile."""
    # Not found: its process, which has just done with it, was quicker.
    with suppress(FileNotFoundError), locked(folder / _OWNED, timeout_s=0.0) as left:
        if left:
            shutil.rmtree(folder, ignore_errors=True)
