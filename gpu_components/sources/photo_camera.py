# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A camera that pans over photographs: real pixels, known motion, no hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_components.resources import resolve_path
from gpu_components.sources.source import readable
from gpu_components.sources.source import Source
from gpu_components.sources.source import SourceParameters
from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PhotoCameraParameters(SourceParameters):
    """Parameters of :class:`PhotoCamera`."""

    photos: StringList = parameter(
        ('package://skimage/data/astronaut.png',),
        'Photographs, by path or package:// name.',
        prepares=True,
    )
    width: int = parameter(
        0, 'Width of the view; 0 takes the photograph.', unit='px', ge=0, le=16384, prepares=True
    )
    height: int = parameter(
        0, 'Height of the view; 0 takes the photograph.', unit='px', ge=0, le=16384, prepares=True
    )
    step_px: int = parameter(
        4, 'Motion of the view from one picture to the next.', unit='px', ge=0, le=1000
    )
    pictures_per_photo: int = parameter(
        30, 'Pictures taken of one photograph before the next.', ge=1, le=1000000
    )


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

    def next(self, params: PhotoCameraParameters) -> NDArray[np.uint8] | None:
        """
        Return the next view.

        Parameters
        ----------
        params : PhotoCameraParameters
            Size and motion of the view.

        Returns
        -------
        numpy.ndarray or None
            uint8 (height, width, 3), contiguous; None after the last photograph.

        """
        turn, place = divmod(self._index, params.pictures_per_photo)
        self._index += 1
        if turn >= len(self._photos) and not params.loop:
            return None
        photo = self._photos[turn % len(self._photos)]
        height, width = params.height or photo.shape[0], params.width or photo.shape[1]
        top = view_origin(place, params.step_px, photo.shape[0] - height)
        left = view_origin(place, params.step_px, photo.shape[1] - width)
        return np.ascontiguousarray(photo[top : top + height, left : left + width])


class PhotoCamera(Source[PhotoCameraParameters, PhotoWalk]):
    """Publishes a moving crop of one photograph after the other."""

    parameters = PhotoCameraParameters

    def check(self, params: PhotoCameraParameters) -> None:
        """
        Refuse an empty list and unknown packages.

        Parameters
        ----------
        params : PhotoCameraParameters
            The values to check.

        """
        if not params.photos:
            raise ParameterError('photos is empty; expected at least one path')
        for photo in params.photos:
            resolve_path(photo)

    def prepare(self, params: PhotoCameraParameters) -> PhotoWalk:
        """
        Read the photographs, enlarged where the view does not fit.

        Parameters
        ----------
        params : PhotoCameraParameters
            Which photographs.

        Returns
        -------
        PhotoWalk
            At its beginning.

        Raises
        ------
        SourceError
            If a file is not a picture.

        """
        return PhotoWalk([_photo(resolve_path(name), params) for name in params.photos])

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next view, a contiguous uint8 (height, width, 3) array in BGR, or None."""
        return self.prepared.next(self.params)


def _photo(path: str, params: PhotoCameraParameters) -> NDArray[np.uint8]:
    photo = readable(cv2.imread(path, cv2.IMREAD_COLOR), path)
    scale = max(params.width / photo.shape[1], params.height / photo.shape[0])
    if scale <= 1.0:
        return photo
    # One pixel more than rounding asks for, so that the view never reaches past the edge.
    size = (int(photo.shape[1] * scale) + 1, int(photo.shape[0] * scale) + 1)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC), np.uint8)
