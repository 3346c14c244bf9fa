# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Batch norms that do not learn any more are part of the convolution before them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import FrozenBatchNorm2d


def fold_norms(module: torch.nn.Module) -> None:
    """
    Fold every batch norm into the convolution that is registered just before it.

    A frozen norm costs seven launches.  And in float16 it may divide by zero: torchvision sets
    the epsilon of published detectors to 0 (``overwrite_eps``), and a variance below 6e-8 is 0.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode and float32; changed in place.

    """
    norms = (torch.nn.BatchNorm2d, FrozenBatchNorm2d)
    for parent in list(module.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, norms):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, torch.nn.Identity())
