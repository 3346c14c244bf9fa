# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The stage of a source: reads it at its rate and publishes what it reads."""

from __future__ import annotations

import threading
import time
from typing import Any
from typing import TYPE_CHECKING

import numpy as np

from gpu_components.stage import Stage
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_components.component_parameters import ComponentParameters
    from gpu_components.stage import StageLinks

IDLE_S = 0.1
"""While nobody wants its pictures, a source looks this often whether somebody does."""


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
        self._ended = False
        self._woken = threading.Event()

    def stop(self) -> None:
        """End the thread; blocks until it has ended."""
        self._ended = True
        self._woken.set()
        super().stop()

    def swap(self, params: ComponentParameters, prepared: Any | None) -> None:
        """
        Use other parameters from the next picture on, which a higher rate brings forward.

        Parameters
        ----------
        params : ComponentParameters
            The new values.
        prepared : object or None
            What ``prepare`` returned for them; None keeps what is in use.

        """
        super().swap(params, prepared)
        self._woken.set()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._ended:
            if self._woken.wait(max(0.0, due_s - time.monotonic())):
                self._woken.clear()
                self._apply_swap()
                due_s = min(due_s, time.monotonic() + self._period_s())
                continue
            # After a stall the schedule starts anew: no burst of late pictures.
            now_s = time.monotonic()
            due_s = (due_s if now_s - due_s < self._period_s() else now_s) + self._period_s()
            if self._links.ports.wants_any():
                self._guarded(self._publish, 'picture')
            else:
                self._metrics.count('unwanted')
                due_s = max(due_s, now_s + IDLE_S)

    def _period_s(self) -> float:
        return 1.0 / float(self._component.params.rate_hz)

    def _publish(self) -> bool:
        source: Any = self._component
        stream = self._links.stream
        started = stream.record(timing=True)
        picture = source.read()
        if picture is None:
            self._ended = True
            source.log.info('end of the pictures')
            return False
        self._metrics.count('received')
        header = Header(self._links.now_ns(), source.params.frame_id)
        data = np.ascontiguousarray(picture)
        layout = _layout(data, source.encoding)
        frame = source.context.frame(header, layout, data, metrics=self._metrics)
        self._links.egress.submit([(frame, {'image_raw': frame})], stream, started)
        return True


def _layout(picture: NDArray[Any], encoding: str) -> ImageFormat:
    """Return how a contiguous picture is to be read, if it is what its encoding says."""
    height, width = picture.shape[:2]
    known = ENCODINGS[encoding]
    items = picture.shape[2] if picture.ndim == 3 else 1
    if (items, picture.itemsize) != (known.channels, known.itemsize):
        raise SpecMismatchError(
            f'a source gave {picture.dtype} of shape {picture.shape} as {encoding}; expected '
            f'{known.channels} items of {known.itemsize} bytes per pixel: correct its encoding'
        )
    return ImageFormat(width, height, encoding, width * items * picture.itemsize)
