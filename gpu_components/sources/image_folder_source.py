# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a folder, in the order of their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from gpu_components.parameters import parameter
from gpu_components.resources import resolve_path
from gpu_components.sources.source import readable
from gpu_components.sources.source import Source
from gpu_components.sources.source import SourceParameters
from gpu_runtime.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = frozenset(('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm'))


@dataclass(frozen=True)
class ImageFolderSourceParameters(SourceParameters):
    """Parameters of :class:`ImageFolderSource`."""

    folder: str = parameter('', 'Folder of pictures, by path or package:// name.', prepares=True)


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


class ImageFolderSource(Source[ImageFolderSourceParameters, PictureFiles]):
    """Publishes every picture of a folder; unreadable files are logged and counted."""

    parameters = ImageFolderSourceParameters

    def check(self, params: ImageFolderSourceParameters) -> None:
        """
        Refuse a folder without pictures.

        Parameters
        ----------
        params : ImageFolderSourceParameters
            The values to check.

        """
        pictures_in(params.folder)

    def prepare(self, params: ImageFolderSourceParameters) -> PictureFiles:
        """
        List the folder.

        Parameters
        ----------
        params : ImageFolderSourceParameters
            Which folder.

        Returns
        -------
        PictureFiles
            At its beginning.

        """
        return PictureFiles(pictures_in(params.folder))

    def read(self) -> NDArray[np.uint8] | None:
        """
        Return the next picture.

        Returns
        -------
        numpy.ndarray or None
            uint8 (height, width, 3), BGR; None at the end.

        Raises
        ------
        SourceError
            If the file is not a picture; the next call goes on with the next file.

        """
        path = self.prepared.next(loop=self.params.loop)
        if path is None:
            return None
        return readable(cv2.imread(str(path), cv2.IMREAD_COLOR), str(path))
