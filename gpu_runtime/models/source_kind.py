# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of place that a network can come from."""

from __future__ import annotations

from enum import Enum


class SourceKind(str, Enum):
    """Where a network comes from, told by the spelling of the parameter ``model``."""

    TORCHVISION = 'torchvision'
    """``torchvision/<name>``."""
    ONNX = 'onnx'
    """``*.onnx``, converted by onnx2torch."""
    EXPORTED = 'exported'
    """``*.pt2``, written by ``torch.export.save``."""
    TORCHSCRIPT = 'torchscript'
    """``*.pt``, ``*.ts`` or ``*.torchscript``; carries code."""
