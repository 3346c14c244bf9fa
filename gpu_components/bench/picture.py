# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures that are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """
    Return a picture to send: shades and grain, so that no codec or cache has it easy.

    Parameters
    ----------
    width : int
        Columns in pixels.
    height : int
        Rows in pixels.
    seed : int
        Another one for each number.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, 3), RGB, owned by the caller.

    """
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 160, height)[:, None, None]
    columns = np.linspace(0, 60, width)[None, :, None]
    grain = random.integers(0, 36, (height, width, 3))
    return np.asarray(rows + columns + grain, np.uint8)
