# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a full queue does."""

from __future__ import annotations

from enum import Enum


class Overflow(str, Enum):
    """What a full queue does with one more item."""

    DROP_OLDEST = 'drop_oldest'
    DROP_NEWEST = 'drop_newest'
    BLOCK = 'block'
    """The producer waits: for files, where every picture counts, never for live cameras."""
    FAULT = 'fault'
    """The producer gets a :class:`~gpu_runtime.errors.LifecycleError`."""
