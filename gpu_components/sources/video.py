# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""An open video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_components.resources import resolve_path
from gpu_runtime.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Video:
    """
    An open video.

    Parameters
    ----------
    name : str
        File, device or URL.

    Raises
    ------
    SourceError
        If OpenCV cannot open it.

    """

    def __init__(self, name: str) -> None:
        self.name = resolve_path(name)
        self._capture = cv2.VideoCapture(self.name)
        if not self._capture.isOpened():
            raise SourceError(
                f'video {self.name} cannot be opened; expected a file or stream that OpenCV '
                'decodes, or a camera device that this user may read'
            )

    def read(self, *, loop: bool) -> NDArray[np.uint8] | None:
        """
        Return the next picture.

        Parameters
        ----------
        loop : bool
            Start again at the end.

        Returns
        -------
        numpy.ndarray or None
            uint8 (height, width, 3), BGR; None at the end.  Blocks while it decodes.

        """
        more, picture = self._capture.read()
        if not more and loop:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            more, picture = self._capture.read()
        return np.asarray(picture, np.uint8) if more else None

    def close(self) -> None:
        """Give the file or device back."""
        self._capture.release()
