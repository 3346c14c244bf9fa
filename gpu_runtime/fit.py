# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How a picture is brought to the size of a tensor."""

from __future__ import annotations

from enum import Enum


class Fit(str, Enum):
    """How a picture is brought to the size of the tensor."""

    STRETCH = 'stretch'
    """Each axis scaled on its own."""
    LETTERBOX_CENTER = 'letterbox_center'
    """Aspect kept, padding shared by both sides."""
    LETTERBOX_TOP_LEFT = 'letterbox_top_left'
    """Aspect kept, picture in the upper left corner, padding right and below."""
