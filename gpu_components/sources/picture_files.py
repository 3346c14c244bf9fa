# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a folder and a place among them."""

from __future__ import annotations

from pathlib import Path

from gpu_components.resources import resolve_path
from gpu_runtime.errors import SourceError

SUFFIXES = frozenset(('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm'))


def pictures_in(folder: str) -> list[Path]:
    """
    Return the pictures of a folder, sorted by name.

    Parameters
    ----------
    folder : str
        Path or ``package://`` name.

    Returns
    -------
    list of pathlib.Path
        At least one file with one of :data:`SUFFIXES`.

    Raises
    ------
    SourceError
        If the folder is not there or has no pictures.

    """
    path = Path(resolve_path(folder))
    if not folder or not path.is_dir():
        raise SourceError(f'folder {folder!r} is not a folder; set it to one that has pictures')
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise SourceError(f'folder {path} has no pictures; expected {", ".join(sorted(SUFFIXES))}')
    return files


class PictureFiles:
    """
    A place in a list of files.

    Parameters
    ----------
    files : list of pathlib.Path
        At least one.

    """

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._index = 0

    def next(self, *, loop: bool) -> Path | None:
        """
        Return the next file.

        Parameters
        ----------
        loop : bool
            Start again after the last.

        Returns
        -------
        pathlib.Path or None
            None at the end.

        """
        if self._index >= len(self._files) and not loop:
            return None
        path = self._files[self._index % len(self._files)]
        self._index += 1
        return path
