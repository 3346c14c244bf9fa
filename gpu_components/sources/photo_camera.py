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
from gpu_components.sources.photo_walk import PhotoWalk
from gpu_components.sources.picture_file import read_picture
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
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
        params = self.params
        return self.prepared.next(
            (params.width, params.height),
            step_px=params.step_px,
            pictures_per_photo=params.pictures_per_photo,
            loop=params.loop,
        )


def _photo(path: str, params: PhotoCameraParameters) -> NDArray[np.uint8]:
    photo = read_picture(path)
    scale = max(params.width / photo.shape[1], params.height / photo.shape[0])
    if scale <= 1.0:
        return photo
    # One pixel more than rounding asks for, so that the view never reaches past the edge.
    size = (int(photo.shape[1] * scale) + 1, int(photo.shape[0] * scale) + 1)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC), np.uint8)
