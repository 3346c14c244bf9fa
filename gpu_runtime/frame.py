# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
One picture on the device, with its header, its ready event and everything derived from it.

A producer makes a frame and publishes it on the bus; stages read it from their own threads and
streams.  A frame is never changed after it is published; its memory returns when the last
reference is gone and the device has finished with it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from gpu_runtime.header import Header
from gpu_runtime.retained import retain

if TYPE_CHECKING:
    import torch

    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.event import Event
    from gpu_runtime.image_format import ImageFormat
    from gpu_runtime.stage_metrics import StageMetrics
    from gpu_runtime.stream import Stream
    from gpu_runtime.tensor_spec import TensorSpec
    from gpu_runtime.transforms import ImageTransform
    from gpu_runtime.transforms import PreparedTensor


class Frame:
    """
    A picture on the device.

    Parameters
    ----------
    header : Header
        Of the source image.
    format : ImageFormat
        How to read ``data``.
    data : torch.Tensor
        uint8 (format.nbytes,) on the device, as it came off the wire; owned by the frame.
    ready : Event
        Passes when ``data`` is complete.
    transform : ImageTransform
        Prepares tensors from ``data``.
    received_s : float, optional
        When the picture entered this process, in seconds of ``time.monotonic``; default now.
    camera_info : CameraModel, optional
        The camera's calibration, if known.
    metrics : StageMetrics, optional
        Of the producer; counts ``transforms``, one per distinct spec.

    """

    def __init__(
        self,
        header: Header,
        format: ImageFormat,
        data: torch.Tensor,
        ready: Event,
        transform: ImageTransform,
        *,
        received_s: float | None = None,
        camera_info: CameraModel | None = None,
        metrics: StageMetrics | None = None,
    ) -> None:
        self._users: set[Stream] = set()
        format.require_nbytes(data.numel())
        self.header = header
        self.format = format
        self.data = data
        self.ready = ready
        self.received_s = time.monotonic() if received_s is None else received_s
        self.camera_info = camera_info
        self._metrics = metrics
        self._transform = transform
        self._lock = threading.Lock()
        self._prepared: dict[TensorSpec, tuple[PreparedTensor, Event]] = {}

    def use(self, stream: Stream) -> torch.Tensor:
        """
        Return the raw bytes for use on a stream.

        Parameters
        ----------
        stream : Stream
            Work enqueued on it afterwards sees complete data.  Does not block.

        Returns
        -------
        torch.Tensor
            ``data``; to be read only, valid for work enqueued while the caller holds the frame.

        """
        stream.wait(self.ready)
        self._users.add(stream)
        return self.data

    def tensor(self, spec: TensorSpec, stream: Stream) -> PreparedTensor:
        """
        Return the picture prepared as a spec asks, computed once however many stages ask.

        Parameters
        ----------
        spec : TensorSpec
            Size, type and value range.
        stream : Stream
            The calling thread's current stream.  Does not block the host on a GPU; on a CPU
            the first caller computes and the others wait for it.

        Returns
        -------
        PreparedTensor
            Shared with every other caller of the same spec: to be read only, valid for work
            enqueued while the caller holds the frame.

        """
        with self._lock:
            if spec not in self._prepared:
                prepared = self._transform(self.use(stream), self.format, spec)
                self._prepared[spec] = (prepared, stream.record())
                if self._metrics is not None:
                    self._metrics.count('transforms')
                return prepared
            prepared, done = self._prepared[spec]
        stream.wait(done)
        self._users.add(stream)
        return prepared

    def done(self, stream: Stream) -> None:
        """
        Forget that a stream reads this picture.

        Parameters
        ----------
        stream : Stream
            The device has ended all work that reads the picture there, and none will follow.

        """
        self._users.discard(stream)

    def __del__(self) -> None:
        """Leave the memory to the streams that may still read it; does not block."""
        if self._users:
            prepared = (prepared.tensor for prepared, _ in self._prepared.values())
            retain(self._users, self.data, *prepared)
