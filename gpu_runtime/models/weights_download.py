# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights files: fetched whole or not at all, and known by the hash in their name."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
from pathlib import Path
import re
import tempfile
import urllib.request

from gpu_runtime.errors import ModelError

SILENCE_S = 10.0
"""Longest silence of the network before a download is given up."""

BLOCK = 1 << 20
_DIGITS = re.compile(r'[-_]([0-9a-f]{8,64})\.\w+$')


def expected_digits(name: str) -> str:
    """
    Return the first digits of the SHA-256 that a file name promises.

    Parameters
    ----------
    name : str
        As torch.hub's convention has it: ``NAME-<digits>.pth``.

    Returns
    -------
    str
        At least eight hexadecimal digits; empty if the name promises nothing.

    """
    match = _DIGITS.search(name)
    return match[1] if match else ''


def is_intact(path: Path) -> bool:
    """
    Return whether a file has the hash that its name promises.

    Parameters
    ----------
    path : Path
        An existing file; read as a whole, so this blocks.

    Returns
    -------
    bool
        True also for a name without hash.

    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest().startswith(expected_digits(path.name))


def fetch(
    url: str, path: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """
    Download a file, check its hash, then put it in place.

    Parameters
    ----------
    url : str
        Where it is.
    path : Path
        Where it goes; its name tells the hash.
    on_progress : callable
        Called with the bytes so far and the bytes in all, 0 if the server does not tell.

    Raises
    ------
    ModelError
        If it cannot be had or is not what its name promises; no file is left then.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, path, on_progress)
    except (OSError, ValueError) as error:
        raise ModelError(
            f'{path.name} cannot be downloaded ({error}); check the network, or fetch {url} on '
            f'another machine and put it into {path.parent}'
        ) from error


def _fetch(url: str, path: Path, on_progress: Callable[[int, int], None]) -> None:
    digest, done = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            with urllib.request.urlopen(url, timeout=SILENCE_S) as response:
                total = int(response.headers.get('Content-Length') or 0)
                while block := response.read(BLOCK):
                    digest.update(block)
                    file.write(block)
                    done += len(block)
                    on_progress(done, total)
            expected = expected_digits(path.name)
            if not digest.hexdigest().startswith(expected):
                raise ValueError(f'SHA-256 {digest.hexdigest()} does not begin with {expected}')
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
