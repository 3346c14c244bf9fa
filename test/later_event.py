# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""An event whose work the test ends."""

from __future__ import annotations

from gpu_runtime.event import Event


class Later(Event):
    """An event that passes when it is told to, or never will."""

    __slots__ = ('ended', 'fault')

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self.fault: Exception | None = None

    def passed(self) -> bool:
        """Return what was told, or raise it."""
        if self.fault is not None:
            raise self.fault
        return self.ended
