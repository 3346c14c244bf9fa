# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors with random weights that find many certain, overlapping boxes."""

from __future__ import annotations

import re
from typing import Any

from skimage import data
import torch
from torchvision import models
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import Detections

LOGITS = re.compile(r'(cls_logits|cls_score|bbox_ctrness|classification_head.*\.\d\.1)$')
DELTAS = re.compile(r'(bbox_pred|bbox_reg|regression_head.*\.\d\.1)$')


def lively(name: str, seed: int = 0, **sizes: Any) -> Any:
    """
    Return a detector in evaluation mode whose layers all tell places apart.

    Untrained heads say the same everywhere, and deep layers overflow. So each channel of each
    convolution is scaled until it spreads on a picture: by 1 inside, by more at the logits.
    Masks and key points are left out.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    detector = models.get_model_builder(name)(weights=None, weights_backbone=None, **sizes).eval()
    stage = getattr(detector, 'roi_heads', detector)
    stage.mask_roi_pool = stage.keypoint_roi_pool = None
    hooks = []
    for path, layer in detector.named_modules():
        if isinstance(layer, (torch.nn.BatchNorm2d, FrozenBatchNorm2d)):
            for values, center in ((layer.weight, 1), (layer.running_var, 1), (layer.bias, 0)):
                values.data.copy_(center + torch.rand(values.shape, generator=generator) / 2)
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            spread = 2.0 if LOGITS.search(path) else 0.3 if DELTAS.search(path) else 1.0
            hooks.append(layer.register_forward_hook(_spreads_to(spread)))
    with torch.inference_mode():
        detector([torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255])
    for hook in hooks:
        hook.remove()
    return detector


def _spreads_to(spread: float) -> Any:
    """Return a hook that sets the scale and offset of a layer at its first call."""
    calls: list[int] = []

    def hook(layer: Any, _: Any, output: torch.Tensor) -> torch.Tensor | None:
        calls.append(1)
        if len(calls) > 1:
            return None
        channels = output.transpose(0, 1).flatten(1)
        if channels.shape[1] < 16:  # the coarsest maps of SSD have a few places
            channels = channels.reshape(1, -1)
        gain = spread / channels.std(dim=1, keepdim=True).clamp(min=1e-6)
        shift = -channels.mean(dim=1, keepdim=True) * gain
        shape = (-1, *(1,) * (output.dim() - 2))
        layer.weight.data.mul_(gain.view(-1, *(1,) * (layer.weight.dim() - 1)))
        if layer.bias is None:
            return output * gain.view(shape)
        layer.bias.data.mul_(gain.flatten()).add_(shift.flatten())
        return output * gain.view(shape) + shift.view(shape)

    return hook


class Prepared(torch.nn.Module):
    """Stand in for a detector's transform where the picture is prepared already."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.size_divisible = multiple

    def forward(self, images: list[torch.Tensor], targets: None = None) -> tuple[ImageList, None]:
        """Pad as torchvision does."""
        height, width = images[0].shape[-2:]
        padding = (0, -width % self.size_divisible, 0, -height % self.size_divisible)
        padded = torch.nn.functional.pad(images[0], padding)
        return ImageList(padded[None], [(height, width)]), targets

    def postprocess(self, result: Any, *sizes: Any) -> Any:
        """Leave boxes in pixels of the tensor."""
        return result


def torchvision_finds(
    detector: Any, picture: torch.Tensor, limits: DetectionLimits
) -> dict[str, torch.Tensor]:
    """Run torchvision's own code on (3, H, W) with our limits; the detector keeps them."""
    stage = getattr(detector, 'roi_heads', detector)
    stage.score_thresh = limits.confidence_threshold
    stage.nms_thresh = limits.iou_threshold
    stage.detections_per_img = limits.max_detections
    with torch.inference_mode():
        return detector([picture])[0]


def assert_same(
    found: Detections, want: dict[str, torch.Tensor], *, px: float = 1e-3, score: float = 1e-5
) -> int:
    """
    Compare two results as sets and return their size.

    At the limit of detections, those that score no more than the last one may differ:
    torchvision leaves the order of equal scores open.
    """
    count = int(found.count)
    assert count == len(want['scores'])
    boxes, scores, class_ids = found.boxes[:count], found.scores[:count], found.class_ids[:count]
    same = class_ids[:, None] == want['labels']
    same &= (scores[:, None] - want['scores']).abs() <= score
    same &= (boxes[:, None] - want['boxes']).abs().amax(dim=-1) <= px
    last = scores.min() + score if count == len(found.scores) else -1.0
    assert same.any(dim=1)[scores > last].all()
    assert same.any(dim=0)[want['scores'] > last].all()
    return count
