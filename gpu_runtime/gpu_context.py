# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The device manager: one per process and device, handed to whoever needs it."""

from __future__ import annotations

from collections.abc import Callable
import logging
import threading
from typing import Any

import torch

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.completions import Completions
from gpu_runtime.device import limit_stacks
from gpu_runtime.device import limit_workspaces
from gpu_runtime.device import resolve_device
from gpu_runtime.device import share_allocator
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.engines.engine_builds import EngineBuilds
from gpu_runtime.engines.engine_store import EngineStore
from gpu_runtime.errors import CudaError
from gpu_runtime.errors import STICKY_STATUSES
from gpu_runtime.frame import Frame
from gpu_runtime.frame_bus import FrameBus
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.metrics import Metrics
from gpu_runtime.models.precision import keep_fp32_exact
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.stage_metrics import StageMetrics
from gpu_runtime.stream import Stream
from gpu_runtime.stream_pool import StreamPool
from gpu_runtime.transfers import Transfers
from gpu_runtime.transforms import make_image_transform

_LOG = logging.getLogger(__name__)


class GpuContext:
    """
    Owner of everything that is global to a device in this process.

    Parameters
    ----------
    device : str
        See :func:`resolve_device`.
    allow_unsafe_models : bool
        Whether model files that can run code while they load are accepted.
    on_lost : callable
        Called with the error when the CUDA context is lost: no call can succeed any more.
    engine_store : EngineStore, optional
        Where compiled networks are kept; without, none are built.
    completion_threads : int
        As :class:`Completions` takes it.

    Attributes
    ----------
    device : torch.device
        The resolved device.
    streams : StreamPool
        Source of streams.
    pinned : PinnedPool
        Source of page-locked memory.
    transfers : Transfers
        Uploads and downloads.
    budget : DeviceBudget
        Memory per component.
    completions : Completions
        Threads for what follows work on the device.
    bus : FrameBus
        Channels between stages.
    metrics : Metrics
        Counters and timings.
    transform : ImageTransform
        Prepares tensors from pictures.
    capture_lock : threading.Lock
        Held while a CUDA graph is captured: one capture at a time in a process.
    engines : EngineBuilds or None
        Builds and keeps compiled networks.

    Raises
    ------
    ParameterError, CudaError
        As :func:`resolve_device`.

    """

    def __init__(
        self,
        device: str = 'auto',
        *,
        allow_unsafe_models: bool = False,
        on_lost: Callable[[BaseException], None] = lambda error: None,
        engine_store: EngineStore | None = None,
        completion_threads: int = 2,
    ) -> None:
        self.device = resolve_device(device)
        keep_fp32_exact()
        self._on_lost = on_lost
        self.allow_unsafe_models = allow_unsafe_models
        if self.device.type == 'cuda':
            limit_workspaces()
            torch.cuda.set_device(self.device)
            limit_stacks()
            share_allocator()
        self.streams = StreamPool(self.device)
        self.pinned = PinnedPool(self.device)
        self.transfers = Transfers(self.device, self.pinned, self.streams)
        self.capture_lock = threading.Lock()
        self.budget = DeviceBudget(self.device, self.capture_lock)
        self.completions = Completions(completion_threads)
        self.bus: FrameBus[Any] = FrameBus()
        self.metrics = Metrics()
        self.transform = make_image_transform(self.device)
        self.engines: EngineBuilds | None = None
        if engine_store is not None:
            self.engines = EngineBuilds(self.device, engine_store, self.metrics)
        self._closed = False

    @property
    def device_name(self) -> str:
        """What the device calls itself."""
        if self.device.type == 'cuda':
            return str(torch.cuda.get_device_name(self.device))
        return 'cpu'

    def lost(self, error: BaseException) -> bool:
        """
        Return whether an error means that the CUDA context is gone for the whole process.

        Parameters
        ----------
        error : BaseException
            As raised by torch or by this package.

        Returns
        -------
        bool
            True for :data:`~gpu_runtime.errors.STICKY_STATUSES`.

        """
        if isinstance(error, CudaError):
            return error.sticky
        code = getattr(error, 'error_code', None)
        return isinstance(error, torch.AcceleratorError) and code in STICKY_STATUSES

    def notice(self, error: BaseException) -> None:
        """
        Take note of an error of device work; every thread that catches one calls this.

        Parameters
        ----------
        error : BaseException
            Told to ``on_lost`` if it means that the context is lost.

        """
        if self.lost(error):
            self._on_lost(error)

    def frame(
        self,
        header: Header,
        format: ImageFormat,
        data: Any,
        *,
        offset: int = 0,
        pinned: bool = False,
        received_s: float | None = None,
        metrics: StageMetrics | None = None,
    ) -> Frame:
        """
        Upload a picture.

        Parameters
        ----------
        header : Header
            Of the source image.
        format : ImageFormat
            How to read ``data``.
        data : bytes-like
            At least ``offset + format.nbytes`` bytes; free for re-use when the call returns or,
            if pinned, once the frame is ready.
        offset : int
            First byte of the picture.
        pinned : bool
            Whether ``data`` is page-locked and needs no copy on the host.
        received_s : float, optional
            When it entered the process, in seconds of ``time.monotonic``; default now.
        metrics : StageMetrics, optional
            Of the producer; counts ``transforms``.

        Returns
        -------
        Frame
            Its copy to the device is enqueued, not complete; blocks only for the host copy.

        Raises
        ------
        SpecMismatchError
            If ``data`` is too short.

        """
        format.require_nbytes(memoryview(data).nbytes - offset)
        tensor, ready = self.transfers.upload(data, format.nbytes, offset=offset, pinned=pinned)
        return Frame(
            header,
            format,
            tensor,
            ready,
            self.transform,
            received_s=received_s,
            metrics=metrics,
        )

    def derived_frame(
        self,
        frame: Frame,
        format: ImageFormat,
        tensor: torch.Tensor,
        stream: Stream,
        *,
        camera_info: CameraModel | None = None,
    ) -> Frame:
        """
        Make a frame of a picture that was computed from another one.

        Parameters
        ----------
        frame : Frame
            The source; gives header and time of arrival.
        format : ImageFormat
            How to read ``tensor``.
        tensor : torch.Tensor
            Contiguous, format.nbytes bytes of any type on the device; owned by the new frame.
        stream : Stream
            On which it is being computed; does not block.
        camera_info : CameraModel, optional
            Calibration of the new picture; default that of the source.

        Returns
        -------
        Frame
            Ready when the work enqueued so far is done.

        """
        return Frame(
            frame.header,
            format,
            tensor.contiguous().view(torch.uint8).reshape(-1),
            stream.record(),
            self.transform,
            received_s=frame.received_s,
            camera_info=camera_info or frame.camera_info,
        )

    def close(self) -> list[str]:
        """
        Return every byte to the device and say what was not given back.

        Returns
        -------
        list of str
            One line per lease that is still out; each is logged too.  Blocks until the device
            is idle.  A second call does nothing.

        """
        if self._closed:
            return []
        self._closed = True
        self.completions.close()
        if self.engines is not None:
            self.engines.close()
        self.transfers.close()
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        leaks = [f'stream {name}' for name in self.streams.close()]
        leaks += self.pinned.close()
        leaks += [f'memory account {name}' for name in self.budget.close()]
        for leak in leaks:
            _LOG.warning('not given back before close: %s', leak)
        return leaks
