# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a view over photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def view_origin(index: int, step_px: int, room_px: int) -> int:
    """
    Return where the view begins along one axis: it moves to and fro at constant speed.

    Parameters
    ----------
    index : int
        Number of the picture, from 0.
    step_px : int
        Pixels per picture.
    room_px : int
        Photograph's side less the view's side.

    Returns
    -------
    int
        0 to ``room_px``.

    """
    if room_px <= 0:
        return 0
    phase = (index * step_px) % (2 * room_px)
    return min(phase, 2 * room_px - phase)


class PhotoWalk:
    """
    Where a view is on its way over photographs.

    Parameters
    ----------
    photos : list of numpy.ndarray
        uint8 (height, width, 3), none smaller than the view.

    """

    def __init__(self, photos: list[NDArray[np.uint8]]) -> None:
        self._photos = photos
        self._index = 0

    def next(
        self, view_wh: tuple[int, int], *, step_px: int, pictures_per_photo: int, loop: bool
    ) -> NDArray[np.uint8] | None:
        """
        Return the next view.

        Parameters
        ----------
        view_wh : tuple of int
            Width and height of the view in pixels; 0 takes the photograph's.
        step_px : int
            Motion from one view to the next, in pixels.
        pictures_per_photo : int
            Views of one photograph before the next.
        loop : bool
            Start again after the last photograph.

        Returns
        -------
        numpy.ndarray or None
            uint8 (height, width, 3), contiguous; None after the last photograph.

        """
        turn, place = divmod(self._index, pictures_per_photo)
        self._index += 1
        if turn >= len(self._photos) and not loop:
            return None
        photo = self._photos[turn % len(self._photos)]
        height, width = view_wh[1] or photo.shape[0], view_wh[0] or photo.shape[1]
        top = view_origin(place, step_px, photo.shape[0] - height)
        left = view_origin(place, step_px, photo.shape[1] - width)
        return np.ascontiguousarray(photo[top : top + height, left : left + width])
