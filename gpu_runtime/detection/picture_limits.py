# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Limits and map of one picture in device memory, where kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.affine_map import boxes_to_source
from gpu_runtime.detection.cuda_nms import float32_at_most
from gpu_runtime.errors import SpecMismatchError

if TYPE_CHECKING:
    import numpy.typing as npt

    from gpu_runtime.affine_map import AffineMap
    from gpu_runtime.detection.limits import DetectionLimits

_MAP = slice(0, 16)
_CONFIDENCE, _IOU, _MOST = 16, 17, 18
_NUMBERS_NBYTES = 20 * 4
_ALIGNMENT = 16


@dataclass(frozen=True)
class PictureLimits:
    """
    What is reported of one picture, and where it lies in the tensor; nothing is read on the host.

    Parameters
    ----------
    row : torch.Tensor
        uint8 (nbytes,), as :func:`pack_limits` makes it, on the device of the network.
    classes : int
        C, the class ids that have a byte of their own.
    capacity : int
        K, the entries of a result.

    """

    row: torch.Tensor
    classes: int
    capacity: int

    @classmethod
    def of(
        cls, limits: DetectionLimits, place: AffineMap, device: torch.device, *, classes: int = 0
    ) -> PictureLimits:
        """
        Make the limits of one picture by themselves.

        Parameters
        ----------
        limits : DetectionLimits
            What is reported; their most detections are the capacity.
        place : AffineMap
            The picture's map.
        device : torch.device
            Where the network is.  Blocks until they are there.
        classes : int
            As of the class.

        Returns
        -------
        PictureLimits
            In new memory.

        """
        row = torch.from_numpy(pack_limits(limits, place, classes)).to(device)
        return cls(row, classes, limits.max_detections)

    @property
    def confidence_threshold(self) -> torch.Tensor:
        """float32 (), the lowest score that is reported."""
        return self._numbers[_CONFIDENCE]

    @property
    def iou_threshold(self) -> torch.Tensor:
        """float32 (), the overlap of one class above which the better box is kept."""
        return self._numbers[_IOU]

    @property
    def max_detections(self) -> torch.Tensor:
        """float32 (), the most detections, which may be less than the capacity."""
        return self._numbers[_MOST]

    def allows(self, class_ids: torch.Tensor) -> torch.Tensor:
        """
        Return which candidates are of a class that is reported.

        Parameters
        ----------
        class_ids : torch.Tensor
            int64 (N,), any numbers.

        Returns
        -------
        torch.Tensor
            bool (N,).  Does not block.

        """
        first = _NUMBERS_NBYTES
        mask = self.row[first : first + self.classes + 1].view(torch.bool)
        # The last byte is for all ids without one of their own; index -1 is the last, too.
        return mask[class_ids.clamp(-1, self.classes)]

    def boxes_to_source(self, xyxy: torch.Tensor) -> torch.Tensor:
        """
        Map boxes from tensor pixels to source pixels, clipped to the picture.

        Parameters
        ----------
        xyxy : torch.Tensor
            (N, 4), left, top, right, bottom.

        Returns
        -------
        torch.Tensor
            (N, 4) in pixels of the source.  Does not block.

        """
        return boxes_to_source(xyxy, self._numbers[_MAP].view(4, 4))

    @property
    def _numbers(self) -> torch.Tensor:
        return self.row[:_NUMBERS_NBYTES].view(torch.float32)


def pack_limits(limits: DetectionLimits, place: AffineMap, classes: int) -> npt.NDArray[np.uint8]:
    """
    Write limits and map of one picture as bytes.

    Parameters
    ----------
    limits : DetectionLimits
        What is reported.
    place : AffineMap
        The picture's map.
    classes : int
        C, the class ids that have a byte of their own.

    Returns
    -------
    numpy.ndarray
        uint8 (nbytes,): numbers as float32, then C + 1 bytes, of which the last is for all other
        class ids; nbytes is a multiple of 16.

    Raises
    ------
    SpecMismatchError
        If a class id is asked for that has no byte.

    """
    wanted = limits.classes
    if wanted is not None and not wanted.issubset(range(classes)):
        raise SpecMismatchError(
            f'class ids {sorted(wanted)} are asked for; expected ids from 0 to {classes - 1}: '
            'name all classes of the network'
        )
    nbytes = _NUMBERS_NBYTES + classes + 1
    row = np.zeros(nbytes + -nbytes % _ALIGNMENT, np.uint8)
    numbers = row[:_NUMBERS_NBYTES].view(np.float32)
    numbers[_MAP] = np.ravel(place.numbers)
    numbers[_CONFIDENCE] = limits.confidence_threshold
    numbers[_IOU] = float32_at_most(limits.iou_threshold)
    numbers[_MOST] = limits.max_detections
    mask = row[_NUMBERS_NBYTES : _NUMBERS_NBYTES + classes + 1]
    mask[:] = wanted is None
    mask[list(wanted or ())] = True
    return row
