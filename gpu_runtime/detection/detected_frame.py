# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture and what was found in it, for the components that go on from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
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
    detections : Detections
        Boxes in its pixels.
    ready : Event
        Passes when the detections are complete.

    """

    frame: Frame
    detections: Detections
    ready: Event

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
        found = self.detections
        stream.retain(found.boxes, found.scores, found.class_ids, found.count)
        return found
