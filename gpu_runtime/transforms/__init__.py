# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""From the bytes of an image to the tensor that a network reads, in one step."""

from __future__ import annotations

from gpu_runtime.transforms.example_tensor import example_tensor
from gpu_runtime.transforms.image_transform import ImageTransform
from gpu_runtime.transforms.image_transform import make_image_transform
from gpu_runtime.transforms.prepared_tensor import PreparedTensor

__all__ = ['ImageTransform', 'PreparedTensor', 'example_tensor', 'make_image_transform']
