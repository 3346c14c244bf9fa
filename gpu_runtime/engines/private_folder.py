# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A folder whose files may be run, because nobody but this user can have put them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import stat
import time

from gpu_runtime.errors import EngineError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_RETRY_S = 0.1


def open_private(folder: Path) -> None:
    """
    Make a folder for this user alone, or check one that exists.

    Parameters
    ----------
    folder : Path
        Made with mode 0700 if it does not exist, with its parents.

    Raises
    ------
    EngineError
        If it cannot be made, belongs to somebody else, or others may write into it: loading an
        engine runs its code.

    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise EngineError(
            f'engine store {folder} cannot be made ({error.strerror}); expected a folder that '
            'this user can write: set engine_store'
        ) from error
    if found.st_uid != os.geteuid():
        raise EngineError(
            f'engine store {folder} belongs to user {found.st_uid}, and engines in it would be '
            f'run; expected one of user {os.geteuid()}: set engine_store to another folder'
        )
    if found.st_mode & _OTHERS_WRITE:
        raise EngineError(
            f'engine store {folder} has mode {stat.S_IMODE(found.st_mode):04o}: others could put '
            f'engines there, which would be run; expected 0700: chmod 700 {folder}, after '
            'removing what is in it if you do not trust it'
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EngineError(
            f'engine store {folder} cannot be written; expected a folder that this user can '
            f'write: chmod 700 {folder}, or set engine_store'
        )


@contextmanager
def locked(file: Path, *, timeout_s: float) -> Iterator[bool]:
    """
    Hold a lock between processes; it ends with the process at the latest.

    Parameters
    ----------
    file : Path
        Made if it does not exist; never removed while in use.
    timeout_s : float
        How long to wait, in seconds.

    Yields
    ------
    bool
        Whether the lock is held: False after the timeout.

    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end_s = time.monotonic() + timeout_s
        held = try_lock(descriptor)
        while not held and time.monotonic() < end_s:
            time.sleep(_RETRY_S)
            held = try_lock(descriptor)
        yield held
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """
    Lock an open file, if nobody has.

    Parameters
    ----------
    descriptor : int
        Of the file; closing it ends the lock.

    Returns
    -------
    bool
        Whether it is locked now.  Does not block.

    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(path: Path) -> None:
    """
    Wait until a file or folder is on the disk.

    Parameters
    ----------
    path : Path
        An existing one.  Blocks.

    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
