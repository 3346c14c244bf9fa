# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
From a network's outputs to one class id per source pixel.

The best class is chosen at the size of the network's input and enlarged from there by nearest
neighbour.  Enlarging the outputs bilinearly first costs memory and time per class and gains
nothing: with a DeepLab v3 of 21 classes at 513 x 513 on 100 COCO photographs, pixel accuracy was
.8778 both ways and mean IoU .4827 instead of .4826.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gpu_runtime.classification.activation import activate
from gpu_runtime.segmentation.best_class import best_class

if TYPE_CHECKING:
    from gpu_runtime.affine_map import AffineMap
    from gpu_runtime.classification.activation import Activation


def class_map(
    outputs: torch.Tensor,
    to_source: AffineMap,
    tensor_hw: tuple[int, int],
    *,
    activation: Activation = 'softmax',
    confidence_floor: float = 0.0,
    void_class: int = 255,
) -> torch.Tensor:
    """
    Return the class of each pixel of the source picture.

    Parameters
    ----------
    outputs : torch.Tensor
        Floating (1, C, h, w), a score per class; or integers (1, 1, h, w), the classes themselves.
    to_source : AffineMap
        ``PreparedTensor.map`` of the picture.
    tensor_hw : tuple of int
        Height and width of the network's input in pixels; the outputs may be coarser.
    activation : str
        What makes scores of the outputs; used with a floor only.
    confidence_floor : float
        Pixels whose best score is lower become ``void_class``; 0 for none.
    void_class : int
        0 to 255.

    Returns
    -------
    torch.Tensor
        uint8 (H, W) at the size of the source, new memory.  Enqueued on the current stream; does
        not block.

    """
    if outputs.is_floating_point():
        ids = _best(_resized(outputs, tensor_hw), activation, confidence_floor, void_class)
    else:
        ids = _nearest(outputs.to(torch.uint8), tensor_hw)
    inner_w, inner_h = to_source.inner_wh
    left, top = int(to_source.offset_x), int(to_source.offset_y)
    width, height = to_source.source_wh
    return _nearest(ids[:, :, top : top + inner_h, left : left + inner_w], (height, width))[0, 0]


def _best(
    outputs: torch.Tensor, activation: Activation, floor: float, void_class: int
) -> torch.Tensor:
    if floor <= 0.0:
        return best_class(outputs)
    scores, ids = activate(outputs.float(), activation).max(dim=1, keepdim=True)
    return ids.to(torch.uint8).masked_fill_(scores < floor, void_class)


def _resized(outputs: torch.Tensor, hw: tuple[int, int]) -> torch.Tensor:
    """Bring coarse outputs to the size of the input, pixel centres at half integers."""
    if tuple(outputs.shape[2:]) == hw:
        return outputs
    return functional.interpolate(outputs, hw, mode='bilinear', align_corners=False)


def _nearest(ids: torch.Tensor, hw: tuple[int, int]) -> torch.Tensor:
    if tuple(ids.shape[2:]) == hw:
        return ids.contiguous()
    return functional.interpolate(ids, hw, mode='nearest-exact').contiguous()
