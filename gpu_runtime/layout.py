# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Order of a tensor's axes."""

from __future__ import annotations

from enum import Enum


class Layout(str, Enum):
    """Order of the axes, batch first."""

    NCHW = 'NCHW'
    NHWC = 'NHWC'
