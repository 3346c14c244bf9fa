# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The stage of a source: reads it at its rate and publishes what it reads."""

from __future__ import annotations

from functools import lru_cache
import threading
import time
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_components.sources.schedule import next_due
from gpu_components.stage import Stage
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.event import Event
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from gpu_components.component_parameters import ComponentParameters
    from gpu_components.stage import StageLinks
    from gpu_runtime.frame import Frame

TOPIC = 'image_raw'

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
        self._uploaded = Event()

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
            due_s = self._next_due_s(due_s)
            if self._links.ports.wants_ros(TOPIC):
                self._guarded(self._publish, lambda: 'picture')
            elif self._links.ports.wants_bus(TOPIC):
                self._attempt(self._hand_over, lambda: 'picture')
            else:
                self._metrics.count('unwanted')
                due_s = max(due_s, time.monotonic() + IDLE_S)

    def _period_s(self) -> float:
        return 1.0 / float(self._component.params.rate_hz)

    def _next_due_s(self, due_s: float) -> float:
        """Return when the next picture is due; count and tell how late this one is."""
        now_s = time.monotonic()
        self._metrics.observe('late', now_s - due_s)
        due_s, missed = next_due(due_s, now_s, self._period_s())
        if missed:
            self._metrics.count('missed', missed)
        return due_s

    def _publish(self) -> bool:
        """Hand the next picture to ROS and to the bus, for a place in flight."""
        stream = self._links.stream
        started = stream.record(timing=True)
        frame = self._next()
        if frame is not None:
            self._links.egress.submit([(frame, {TOPIC: frame})], stream, started)
        return frame is not None

    def _hand_over(self) -> bool:
        """Hand the next picture to the bus alone, where nothing has to be waited for."""
        frame = self._next()
        if frame is not None:
            self._links.ports.put_on_bus(TOPIC, frame)
            latency_s = time.monotonic() - frame.received_s
            self._metrics.processed(frame.header.stamp_ns, latency=latency_s)
        return frame is not None

    def _next(self) -> Frame | None:
        """Read and upload a picture; None at the end."""
        with self._links.stream, torch.inference_mode():
            return self._read()

    def _read(self) -> Frame | None:
        # One upload at a time: a source cannot fill page-locked memory ahead of the device.
        if not self._uploaded.passed():
            self._uploaded.wait_host()
        source: Any = self._component
        picture = source.read()
        if picture is None:
            self._ended = True
            source.log.info('end of the pictures')
            return None
        self._metrics.count('received')
        header = Header(self._links.now_ns(), source.params.frame_id)
        data = np.ascontiguousarray(picture)
        layout = _layout(data.shape, data.dtype, source.encoding)
        frame: Frame = source.context.frame(header, layout, data, metrics=self._metrics)
        self._uploaded = frame.ready
        return frame


@lru_cache(maxsize=16)
def _layout(shape: tuple[int, ...], dtype: np.dtype[Any], encoding: str) -> ImageFormat:
    """Return how a contiguous picture is to be read, if it is what its encoding says."""
    known = ENCODINGS[encoding]
    items = shape[2] if len(shape) == 3 else 1
    if (items, dtype.itemsize) != (known.channels, known.itemsize):
        raise SpecMismatchError(
            f'a source gave {dtype} of shape {shape} as {encoding}; expected '
            f'{known.channels} items of {known.itemsize} bytes per pixel: correct its encoding'
        )
    return ImageFormat(shape[1], shape[0], encoding, shape[1] * items * dtype.itemsize)
