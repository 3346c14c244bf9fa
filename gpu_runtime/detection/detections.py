# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Detections of one picture in tensors of fixed size, so that nobody waits for their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gpu_runtime.errors import SpecMismatchError

_COLUMNS = 6


@dataclass(frozen=True)
class Detections:
    """
    Up to K boxes, sorted by falling score; entries from ``count`` on are zero.

    Parameters
    ----------
    boxes : torch.Tensor
        float32 (K, 4), left, top, right, bottom in pixels (of the tensor or of the source: the
        producer says which), x right, y down.
    scores : torch.Tensor
        float32 (K,), usually 0 to 1.
    class_ids : torch.Tensor
        int64 (K,).
    count : torch.Tensor
        int64 (), the number of real entries, on the same device: reading it on the host blocks.

    """

    boxes: torch.Tensor
    scores: torch.Tensor
    class_ids: torch.Tensor
    count: torch.Tensor

    @classmethod
    def empty(cls, max_detections: int, device: torch.device) -> Detections:
        """
        Return no detections in tensors of full size; does not block.

        Parameters
        ----------
        max_detections : int
            K, at least 1.
        device : torch.device
            Where the tensors are made, by torch's allocator.

        Returns
        -------
        Detections
            All zero.

        """
        return cls(
            torch.zeros((max_detections, 4), dtype=torch.float32, device=device),
            torch.zeros(max_detections, dtype=torch.float32, device=device),
            torch.zeros(max_detections, dtype=torch.int64, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
        )

    def packed(self) -> torch.Tensor:
        """
        Return everything in one tensor, for one small copy to the host.

        Returns
        -------
        torch.Tensor
            float32 (K + 1, 6): row 0 is ``count, 0, 0, 0, 0, 0``; each further row is left, top,
            right, bottom, score, class id (exact below 2 ** 24).  New memory on the same device,
            written on the current stream; does not block.

        """
        rows = self.boxes.new_zeros((self.scores.shape[0] + 1, _COLUMNS))
        rows[0, 0].copy_(self.count)
        rows[1:, :4].copy_(self.boxes)
        rows[1:, 4].copy_(self.scores)
        rows[1:, 5].copy_(self.class_ids)
        return rows

    @classmethod
    def of_packed(cls, rows: torch.Tensor) -> Detections:
        """
        Return what :meth:`packed` was called on.

        Parameters
        ----------
        rows : torch.Tensor
            float32 (K + 1, 6), on any device.

        Returns
        -------
        Detections
            Boxes and scores share its memory.  Enqueued on the current stream; does not block.

        """
        boxes, scores, class_ids = rows[1:, :4], rows[1:, 4], rows[1:, 5].to(torch.int64)
        return cls(boxes, scores, class_ids, rows[0, 0].to(torch.int64))

    @staticmethod
    def unpack(
        host_rows: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """
        Read what :meth:`packed` wrote, after its copy to the host is done.

        Parameters
        ----------
        host_rows : numpy.ndarray
            float32 (K + 1, 6).

        Returns
        -------
        tuple of numpy.ndarray
            Boxes float32 (n, 4), scores float32 (n,), class ids int64 (n,) with the real n.
            They are copies: the rows may be re-used.

        Raises
        ------
        SpecMismatchError
            If the shape is another, or the count in row 0 is not one of 0 to K.

        """
        if host_rows.ndim != 2 or host_rows.shape[0] < 1 or host_rows.shape[1] != _COLUMNS:
            raise SpecMismatchError(
                f'packed detections have shape {host_rows.shape}; expected (K + 1, {_COLUMNS}): '
                'pass the rows of Detections.packed()'
            )
        first = float(host_rows[0, 0])
        if not (0 <= first < host_rows.shape[0] and first.is_integer()):
            raise SpecMismatchError(
                f'packed detections say count {first}; expected a whole number from 0 to '
                f'{host_rows.shape[0] - 1}: wait for the copy to the host before reading it'
            )
        rows = host_rows[1 : int(first) + 1]
        return rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int64)
