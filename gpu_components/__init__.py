# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 components, their container and executor; everything on the device is gpu_runtime's."""

from __future__ import annotations

import lazy_loader

# What __init__.pyi names is imported when it is asked for: torch takes seconds, and most of the
# commands, and whoever imports a single module, do without.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
