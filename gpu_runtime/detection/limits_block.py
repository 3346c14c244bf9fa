# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The limits of the pictures that go through a network together, at one place for its whole life.

A recorded graph reads them there.  They are written before a replay, on the same stream, and only
where they are not those that are there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection.limits import DetectionLimits
from gpu_runtime.detection.picture_limits import pack_limits
from gpu_runtime.detection.picture_limits import PictureLimits
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.event_shelf import event_of_current_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_runtime.pinned_pool import PinnedPool

CAPACITY = 1000
"""Entries of a result: the most detections that may be asked for."""

_UNFINISHED = 3
"""Copies that wait for the device at most: no more batches than that are ever under way."""


class LimitsBlock:
    """
    One row of device memory per picture of a batch; used by one thread at a time.

    Parameters
    ----------
    device : torch.device
        Where the network is.
    pinned : PinnedPool
        Source of page-locked memory.
    pictures : int
        The most pictures of a batch.
    classes : int
        The classes that can be filtered.
    capacity : int
        Entries of a result.  Blocks until the first values are there.

    """

    def __init__(
        self,
        device: torch.device,
        pinned: PinnedPool,
        *,
        pictures: int = 1,
        classes: int = 0,
        capacity: int = CAPACITY,
    ) -> None:
        self._pinned = pinned
        self._classes = classes
        nowhere = AffineMap(1.0, 1.0, 0.0, 0.0, (1, 1))
        self._written = [(DetectionLimits(), nowhere)] * pictures
        with torch.inference_mode(False):  # else it could not be written outside of that mode
            self._rows = torch.from_numpy(self._packed(self._written)).to(device)
        self.pictures = tuple(PictureLimits(row, classes, capacity) for row in self._rows)
        if self._rows.is_cuda:
            pinned.reserve(self._rows.numel(), _UNFINISHED)

    def write(self, limits: DetectionLimits, places: Sequence[AffineMap]) -> None:
        """
        Set what the next call of the network obeys, on the calling thread's current stream.

        Parameters
        ----------
        limits : DetectionLimits
            Of all pictures.
        places : sequence of AffineMap
            Map of each picture.  Does not block; enqueues nothing if all of it is there already.

        Raises
        ------
        SpecMismatchError
            If there are more pictures than rows, more detections than entries, or unknown classes.

        """
        count = len(places)
        wanted = [(limits, place) for place in places]
        if wanted == self._written[:count]:
            return
        most = self.pictures[0].capacity
        if count > len(self.pictures) or limits.max_detections > most:
            raise SpecMismatchError(
                f'{count} pictures of {limits.max_detections} detections; expected at most '
                f'{len(self.pictures)} of {most}: prepare for as many'
            )
        wanted += self._written[count:]
        self._upload(self._packed(wanted))
        self._written = wanted

    def _packed(self, wanted: Sequence[tuple[DetectionLimits, AffineMap]]) -> np.ndarray:
        return np.stack([pack_limits(*picture, self._classes) for picture in wanted])

    def _upload(self, rows: np.ndarray) -> None:
        if not self._rows.is_cuda:
            self._rows.copy_(torch.from_numpy(rows))
            return
        slab = self._pinned.lease(rows.nbytes, 'limits')
        np.copyto(slab.array, rows.reshape(-1))
        self._rows.view(-1).copy_(torch.from_numpy(slab.array), non_blocking=True)
        # On the shelf, but not handed out again before the copy has read it.
        self._pinned.release(slab, event_of_current_stream(self._rows.device))
