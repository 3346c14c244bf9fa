# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Non-maximum suppression per class into tensors of fixed size.

Called by a detection preset while it decodes, on the stage's thread and current stream.
"""

from __future__ import annotations

import functools
import logging
import math

import torch

from gpu_runtime.detection.cuda_nms import CudaNms
from gpu_runtime.detection.detections import Detections
from gpu_runtime.errors import SpecMismatchError

MAX_CANDIDATES = 65536
"""Largest accepted N: the kernel's N * N / 8 bytes of overlap bits are 512 MiB there."""

_logger = logging.getLogger(__name__)


def batched_nms(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    *,
    score_threshold: float | torch.Tensor,
    iou_threshold: float | torch.Tensor,
    max_detections: int,
    class_mask: torch.Tensor | None = None,
) -> Detections:
    """
    Keep the best of overlapping boxes of the same class.

    Equals ``torchvision.ops.batched_nms`` on the candidates that pass the thresholds, but
    compares classes instead of shifting boxes, so that overlaps are exact.  Candidates of equal
    score rank by their place in the input (torchvision leaves that order open).  On ``cuda`` it
    neither blocks nor has data-dependent shapes and may be captured in a graph once its kernels
    are compiled, which the first call on a device does.

    Parameters
    ----------
    boxes : torch.Tensor
        float32 (N, 4), left, top, right, bottom, N at most :data:`MAX_CANDIDATES`.
    scores : torch.Tensor
        float32 (N,).  NaN never passes.
    class_ids : torch.Tensor
        int64 (N,).
    score_threshold : float or torch.Tensor
        Candidates with ``score >= score_threshold`` are considered.  Finite; or float32 () on the
        device of the boxes, read when the device gets there.
    iou_threshold : float or torch.Tensor
        A box is dropped if its intersection over union with a kept one is ``>`` this.  As above.
    max_detections : int
        K, at least 1.
    class_mask : torch.Tensor, optional
        bool (C,), True for the classes to keep; ids outside 0 to C - 1 are dropped.

    Returns
    -------
    Detections
        K entries in the coordinates of ``boxes``, in new memory.

    Raises
    ------
    SpecMismatchError
        If a shape, type, device or limit is not as said above.
    CudaError
        If a kernel cannot be compiled or launched.

    """
    _require(boxes, scores, class_ids, class_mask)
    _require_limits(score_threshold, iou_threshold, max_detections, boxes.device)
    if boxes.shape[0] == 0:
        return Detections.empty(max_detections, boxes.device)
    valid = _valid(scores, class_ids, score_threshold, class_mask)
    kernels = _cuda_kernels(boxes.device) if boxes.is_cuda else None
    if kernels is None:
        return _suppress(boxes, scores, class_ids, valid, iou_threshold, max_detections)
    return kernels(boxes, scores, class_ids, valid, iou_threshold, max_detections)


def _valid(
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    score_threshold: float | torch.Tensor,
    class_mask: torch.Tensor | None,
) -> torch.Tensor:
    """Return bool (N,): which candidates pass the score and the class filter."""
    valid = scores >= score_threshold
    if class_mask is None:
        return valid
    classes = class_mask.shape[0]
    if classes == 0:
        return torch.zeros_like(valid)
    # Clamped first: an index out of range would be a device-side assert, the end of the context.
    inside = (class_ids >= 0) & (class_ids < classes)
    return valid & inside & class_mask[class_ids.clamp(0, classes - 1)]


def _suppress(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    valid: torch.Tensor,
    iou_threshold: float | torch.Tensor,
    max_detections: int,
) -> Detections:
    """Suppress with torchvision, class by class; blocks on ``cuda``."""
    # Imported here: the kernel path does not need it, and it takes long to load.
    from torchvision.ops import nms

    candidates = valid.nonzero().squeeze(1)
    by_score = scores[candidates].argsort(descending=True, stable=True)
    candidates = candidates[by_score]
    classes = class_ids[candidates]
    keep = torch.zeros_like(candidates, dtype=torch.bool)
    for class_id in torch.unique(classes):
        members = (classes == class_id).nonzero().squeeze(1)
        chosen = candidates[members]
        keep[members[nms(boxes[chosen], scores[chosen], float(iou_threshold))]] = True
    kept = candidates[keep][:max_detections]
    return _padded(boxes[kept], scores[kept], class_ids[kept], max_detections)


def _padded(
    boxes: torch.Tensor, scores: torch.Tensor, class_ids: torch.Tensor, max_detections: int
) -> Detections:
    """Fill the first rows of empty detections."""
    detections = Detections.empty(max_detections, boxes.device)
    number = boxes.shape[0]
    detections.boxes[:number] = boxes
    detections.scores[:number] = scores
    detections.class_ids[:number] = class_ids
    detections.count.fill_(number)
    return detections


@functools.cache
def _cuda_kernels(device: torch.device) -> CudaNms | None:
    """Return the kernels for a device, or None with one warning where CuPy is missing."""
    try:
        return CudaNms(device)
    except ImportError as error:
        _logger.warning(
            'the suppression kernels are not available on %s (%s); torchvision is used, which '
            'makes the host wait: install cupy-cuda13x or the build for your CUDA version',
            device,
            error,
        )
        return None


def _require(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    class_mask: torch.Tensor | None,
) -> None:
    """Refuse tensors of another shape, type or device than the contract's."""
    number = boxes.shape[0] if boxes.dim() else 0
    expected: list[tuple[str, torch.Tensor, tuple[int, ...], torch.dtype]] = [
        ('boxes', boxes, (number, 4), torch.float32),
        ('scores', scores, (number,), torch.float32),
        ('class_ids', class_ids, (number,), torch.int64),
    ]
    if class_mask is not None:
        expected.append(('class_mask', class_mask, (class_mask.numel(),), torch.bool))
    for name, tensor, shape, dtype in expected:
        if tensor.shape != shape or tensor.dtype != dtype or tensor.device != boxes.device:
            raise SpecMismatchError(
                f'batched_nms: {name} is {tensor.dtype} {tuple(tensor.shape)} on '
                f'{tensor.device}; expected {dtype} {shape} on {boxes.device}: convert it in '
                "the preset's decode"
            )
    if number > MAX_CANDIDATES:
        raise SpecMismatchError(
            f'batched_nms: got {number} candidates; expected at most {MAX_CANDIDATES}: take the '
            'top scores first'
        )


def _require_limits(
    score_threshold: float | torch.Tensor,
    iou_threshold: float | torch.Tensor,
    max_detections: int,
    device: torch.device,
) -> None:
    """Refuse limits that would silently mean something else."""
    for threshold in (score_threshold, iou_threshold):
        if isinstance(threshold, torch.Tensor):
            form = (threshold.dtype, threshold.dim(), threshold.device)
            fits = form == (torch.float32, 0, device)
        else:
            fits = math.isfinite(threshold)
        if not fits:
            raise SpecMismatchError(
                f'batched_nms: a threshold is {threshold!r}; expected a finite number, or float32 '
                f'() on {device}'
            )
    if max_detections < 1:
        raise SpecMismatchError(
            f'batched_nms: max_detections is {max_detections}; expected at least 1'
        )
