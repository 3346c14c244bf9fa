# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One owner for everything that is global to a device: memory, streams, frames and models."""

from __future__ import annotations

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.camera_model import CameraModel
from gpu_runtime.device import resolve_device
from gpu_runtime.device_budget import BudgetReport
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.encoding import Encoding
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import CudaError
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import OutOfDeviceMemory
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SourceError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.errors import WiringError
from gpu_runtime.event import Event
from gpu_runtime.fit import Fit
from gpu_runtime.frame import Frame
from gpu_runtime.frame_bus import FrameBus
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.metrics import Metrics
from gpu_runtime.overflow import Overflow
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.stream import Stream
from gpu_runtime.stream_pool import StreamPool
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transfers import Transfers

__all__ = [
    'ENCODINGS',
    'AffineMap',
    'BudgetReport',
    'CameraModel',
    'CudaError',
    'DeviceBudget',
    'Encoding',
    'Event',
    'Fit',
    'Frame',
    'FrameBus',
    'GpuContext',
    'GpuPerceptionError',
    'Header',
    'ImageFormat',
    'Layout',
    'LifecycleError',
    'Metrics',
    'ModelError',
    'OutOfDeviceMemory',
    'Overflow',
    'ParameterError',
    'PinnedPool',
    'SourceError',
    'SpecMismatchError',
    'Stream',
    'StreamPool',
    'TensorSpec',
    'Transfers',
    'WiringError',
    'resolve_device',
]
