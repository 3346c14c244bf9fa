# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras inside the process: pictures go onto the bus without passing through DDS."""

from __future__ import annotations

from dataclasses import dataclass
import threading
import time
from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING
from typing import TypeVar

import numpy as np
from sensor_msgs.msg import Image

from gpu_components.component import Component
from gpu_components.component import Output
from gpu_components.parameters import ComponentParameters
from gpu_components.parameters import parameter
from gpu_components.stage import Stage
from gpu_runtime.errors import SourceError
from gpu_runtime.frame import Header
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.stage import StageLinks


@dataclass(frozen=True)
class SourceParameters(ComponentParameters):
    """Parameters that every source has."""

    rate_hz: float = parameter(30.0, 'Pictures per second.', unit='Hz', ge=0.01, le=10000.0)
    frame_id: str = parameter(
        'camera_optical', 'Coordinate frame of the pictures (REP 103: z forward, x right, y down).'
    )
    loop: bool = parameter(True, 'Start again after the last picture.', read_only=True)


Q = TypeVar('Q', bound=SourceParameters)
S = TypeVar('S')


class Source(Component[Q, S]):
    """A component without inputs that produces pictures at a rate; a subclass writes ``read``."""

    parameters: ClassVar[type[ComponentParameters]] = SourceParameters
    outputs: ClassVar[tuple[Output, ...]] = (Output('image_raw', Image, bus=True),)
    encoding: ClassVar[str] = 'bgr8'

    def read(self) -> NDArray[np.uint8] | None:
        """
        Return the next picture.

        Returns
        -------
        numpy.ndarray or None
            uint8 (height, width, 3) in :attr:`encoding`, valid until the next call; None at the
            end.

        """
        raise NotImplementedError


class SourceStage(Stage):
    """
    Reads a source at its rate and publishes what it reads.

    Parameters
    ----------
    links : StageLinks
        ``links.component`` is a :class:`Source`.
    name : str
        Name of the thread.

    """

    def __init__(self, links: StageLinks, name: str) -> None:
        super().__init__(links, name)
        self._ended = threading.Event()

    def stop(self) -> None:
        """End the thread; blocks until it has ended."""
        self._ended.set()
        super().stop()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            self._apply_swap()
            # After a stall the schedule starts anew: no burst of late pictures.
            period_s = 1.0 / self._component.params.rate_hz
            due_s = max(due_s + period_s, time.monotonic() - period_s)
            if self._links.egress.wants_any():
                self._guarded(self._publish, 'picture')
            else:
                self._metrics.count('unwanted')

    def _publish(self) -> None:
        source: Any = self._component
        stream = self._links.stream
        started = stream.record(timing=True)
        picture = source.read()
        if picture is None:
            self._ended.set()
            source.log.info('end of the pictures')
            return
        self._metrics.count('received')
        height, width = picture.shape[:2]
        header = Header(self._links.now_ns(), source.params.frame_id)
        layout = ImageFormat(width, height, source.encoding, width * 3)
        data = np.ascontiguousarray(picture)
        frame = source.context.frame(header, layout, data, metrics=self._metrics)
        self._links.egress.submit(frame, {'image_raw': frame}, stream, started)


def readable(picture: NDArray[Any] | None, path: str) -> NDArray[np.uint8]:
    """
    Return a decoded picture or say that there is none.

    Parameters
    ----------
    picture : numpy.ndarray or None
        As ``cv2.imread`` returns it.
    path : str
        Where it came from.

    Returns
    -------
    numpy.ndarray
        ``picture``.

    Raises
    ------
    SourceError
        If it is None.

    """
    if picture is None:
        raise SourceError(f'{path} is not a readable picture; expected JPEG, PNG, BMP or TIFF')
    return picture
