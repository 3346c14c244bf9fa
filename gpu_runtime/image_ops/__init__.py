# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Operations on pictures on the device, and the chains they form."""

from __future__ import annotations

from gpu_runtime.image_ops.chain import ImageChain
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.image_ops.parse import OPERATIONS
from gpu_runtime.image_ops.parse import parse_operations
from gpu_runtime.image_ops.picture import Picture

__all__ = ['ImageChain', 'OPERATIONS', 'Operation', 'Picture', 'parse_operations']
