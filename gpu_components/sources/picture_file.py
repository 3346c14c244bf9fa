# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runtime.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_picture(path: str) -> NDArray[np.uint8]:
    """
    Read a picture.

    Parameters
    ----------
    path : str
        A file that OpenCV decodes.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, 3), BGR, owned by the caller.  Blocks while it reads and decodes.

    Raises
    ------
    SourceError
        If there is no such picture.

    """
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise SourceError(f'{path} is not a readable picture; expected JPEG, PNG, BMP or TIFF')
    return np.asarray(picture, np.uint8)
