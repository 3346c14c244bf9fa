# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One owner for everything that is global to a device: memory, streams, frames and models."""

from .affine_map import AffineMap as AffineMap
from .camera_model import CameraModel as CameraModel
from .device import resolve_device as resolve_device
from .device_budget import BudgetReport as BudgetReport
from .device_budget import DeviceBudget as DeviceBudget
from .encoding import Encoding as Encoding
from .encoding import ENCODINGS as ENCODINGS
from .errors import CudaError as CudaError
from .errors import GpuPerceptionError as GpuPerceptionError
from .errors import LifecycleError as LifecycleError
from .errors import ModelError as ModelError
from .errors import OutOfDeviceMemory as OutOfDeviceMemory
from .errors import ParameterError as ParameterError
from .errors import SourceError as SourceError
from .errors import SpecMismatchError as SpecMismatchError
from .errors import WiringError as WiringError
from .event import Event as Event
from .fit import Fit as Fit
from .frame import Frame as Frame
from .frame_bus import FrameBus as FrameBus
from .gpu_context import GpuContext as GpuContext
from .header import Header as Header
from .image_format import ImageFormat as ImageFormat
from .layout import Layout as Layout
from .metrics import Metrics as Metrics
from .overflow import Overflow as Overflow
from .pinned_pool import PinnedPool as PinnedPool
from .stream import Stream as Stream
from .stream_pool import StreamPool as StreamPool
from .tensor_spec import TensorSpec as TensorSpec
from .transfers import Transfers as Transfers
