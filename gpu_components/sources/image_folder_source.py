# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a folder, in the order of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_components.parameters import parameter
from gpu_components.sources.picture_file import read_picture
from gpu_components.sources.picture_files import PictureFiles
from gpu_components.sources.picture_files import pictures_in
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageFolderSourceParameters(SourceParameters):
    """Parameters of :class:`ImageFolderSource`."""

    folder: str = parameter('', 'Folder of pictures, by path or package:// name.', prepares=True)


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
        return read_picture(str(path))
