# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture and what was found in it, for the components that go on from there."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import TYPE_CHECKING

from gpu_runtime.detection.detections import Detections
from gpu_runtime.retained import retain

if TYPE_CHECKING:
    import torch

    from gpu_runtime.event import Event
    from gpu_runtime.frame import Frame
    from gpu_runtime.header import Header
    from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class DetectedFrame:
    """
    Detections on the device, with the picture they were found in.

    Parameters
    ----------
    frame : Frame
        The picture.
    rows : torch.Tensor
        Packed detections, boxes in its pixels; written once.
    ready : Event
        Passes when the detections are complete.

    """

    frame: Frame
    rows: torch.Tensor
    ready: Event
    _users: set[Stream] = field(default_factory=set, init=False, repr=False, compare=False)

    @property
    def header(self) -> Header:
        """Header of the picture."""
        return self.frame.header

    @property
    def received_s(self) -> float:
        """When the picture entered the process, in seconds of ``time.monotonic``."""
        return self.frame.received_s

    def use(self, stream: Stream) -> Detections:
        """
        Return the detections for use on a stream.

        Parameters
        ----------
        stream : Stream
            Work enqueued on it afterwards sees complete data.  Does not block.

        Returns
        -------
        Detections
            To be read only, for work enqueued while the caller holds this object.

        """
        stream.wait(self.ready)
        self._users.add(stream)
        return Detections.of_packed(self.rows)

    def done(self, stream: Stream) -> None:
        """
        Do as :meth:`Frame.done`, for the picture and for the detections.

        Parameters
        ----------
        stream : Stream
            As there.

        """
        self._users.discard(stream)
        self.frame.done(stream)

    def __del__(self) -> None:
        """Leave the memory to the streams that may still read it; does not block."""
        retain(self._users, self.rows)
