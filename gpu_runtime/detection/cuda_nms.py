# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Suppression on a CUDA device without waiting: four kernels of fixed shape."""

from __future__ import annotations

import numpy as np
import torch

from gpu_runtime.detection import nms_kernel
from gpu_runtime.detection.detections import Detections
from gpu_runtime.transforms.cupy_kernel import CupyKernel


class CudaNms:
    """
    The kernels of :func:`~gpu_runtime.detection.nms.batched_nms` for one device.

    Parameters
    ----------
    device : torch.device
        A CUDA device with its index.

    Raises
    ------
    ImportError
        If CuPy cannot be imported.

    """

    def __init__(self, device: torch.device) -> None:
        names = (nms_kernel.RANK, nms_kernel.OVERLAP, nms_kernel.SWEEP, nms_kernel.COLLECT)
        self._rank, self._overlap, self._sweep, self._collect = (
            CupyKernel(nms_kernel.SOURCE, name, device) for name in names
        )

    def __call__(
        self,
        boxes: torch.Tensor,
        scores: torch.Tensor,
        class_ids: torch.Tensor,
        valid: torch.Tensor,
        iou_threshold: float | torch.Tensor,
        max_detections: int,
    ) -> Detections:
        """
        Enqueue the suppression on the current stream; does not block once compiled.

        Parameters
        ----------
        boxes : torch.Tensor
            float32 (N, 4), left, top, right, bottom, N from 1 to 65536.
        scores : torch.Tensor
            float32 (N,).
        class_ids : torch.Tensor
            int64 (N,).
        valid : torch.Tensor
            bool (N,): which candidates to consider.  Their scores are not NaN.
        iou_threshold : float or torch.Tensor
            Boxes that overlap more than this with a better one of their class are dropped;
            float32 () on the device is read there.
        max_detections : int
            K, at least 1.

        Returns
        -------
        Detections
            K entries in new memory of torch's allocator.

        Raises
        ------
        CudaError
            If a kernel cannot be compiled or launched.

        """
        boxes, scores, class_ids = boxes.contiguous(), scores.contiguous(), class_ids.contiguous()
        valid = valid.contiguous()
        number, limit = np.int32(boxes.shape[0]), np.int32(max_detections)
        tiles = -(-int(number) // nms_kernel.TILE)
        suppressors = torch.empty((tiles, int(number)), dtype=torch.int64, device=boxes.device)
        words = (nms_kernel.MEMBER_WORDS * int(number), int(number), 1)
        memory = torch.empty(sum(words), dtype=torch.int32, device=boxes.device)
        members, chosen, count = (part.data_ptr() for part in memory.split(words))
        kept = _uninitialised(max_detections, boxes.device)
        candidates = (scores.data_ptr(), class_ids.data_ptr())
        self._rank.launch(
            (-(-int(number) // nms_kernel.RANKED_PER_BLOCK),),
            (nms_kernel.RANK_THREADS,),
            (*candidates, valid.data_ptr(), number, members, chosen, count),
        )
        bits = suppressors.data_ptr()
        self._overlap.launch(
            (tiles, tiles),
            (nms_kernel.TILE,),
            (boxes.data_ptr(), members, count, number, *_threshold(iou_threshold), bits),
        )
        self._sweep.launch(
            (tiles,),
            (nms_kernel.SWEEP_THREADS,),
            (members, count, bits, number, limit, chosen),
        )
        outputs = (kept.boxes, kept.scores, kept.class_ids, kept.count)
        self._collect.launch(
            (1,),
            (nms_kernel.COLLECT_THREADS,),
            (
                boxes.data_ptr(),
                *candidates,
                chosen,
                count,
                limit,
                *(tensor.data_ptr() for tensor in outputs),
            ),
        )
        return kept


def _threshold(value: float | torch.Tensor) -> tuple[int, np.float32]:
    """Return the address of a threshold on the device, or 0 and the threshold."""
    if isinstance(value, torch.Tensor):
        return value.data_ptr(), np.float32(0)
    return 0, float32_at_most(value)


def _uninitialised(max_detections: int, device: torch.device) -> Detections:
    """Return detections that the sweep will write in full."""
    return Detections(
        torch.empty((max_detections, 4), dtype=torch.float32, device=device),
        torch.empty(max_detections, dtype=torch.float32, device=device),
        torch.empty(max_detections, dtype=torch.int64, device=device),
        torch.empty((), dtype=torch.int64, device=device),
    )


def float32_at_most(value: float) -> np.float32:
    """
    Round down to float32.

    Parameters
    ----------
    value : float
        Any finite number.

    Returns
    -------
    numpy.float32
        The largest not above ``value``: a float32 is greater than the one exactly if it is
        greater than the other, so the kernel decides as torchvision does with a double.

    """
    single: np.float32 = np.float32(value)
    if float(single) > value:
        single = np.float32(np.nextafter(single, np.float32(-np.inf)))
    return single
