# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The stage of a component that reads pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from gpu_components.stage import Stage

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_components.stage import StageLinks
    from gpu_runtime.frame import Frame
    from gpu_runtime.subscription import Subscription

IDLE_S = 0.5
"""A stage without frames looks this often whether it got other parameters."""


class FrameStage(Stage):
    """
    Runs ``compute`` for every frame of a subscription.

    Parameters
    ----------
    links : StageLinks
        What the thread works with.
    subscription : Subscription
        Where frames come from; :meth:`stop` closes it.

    """

    def __init__(self, links: StageLinks, subscription: Subscription[Frame]) -> None:
        super().__init__(links, subscription.name)
        self._subscription = subscription

    def stop(self) -> None:
        """Close the subscription and end the thread; blocks until it has ended."""
        self._subscription.close()
        super().stop()

    def _run(self) -> None:
        while not self._subscription.closed:
            frame = self._subscription.take(IDLE_S)
            self._apply_swap()
            if frame is None:
                continue
            self._metrics.count('received')
            self._metrics.observe('queue', time.monotonic() - frame.received_s)
            if self._stale(frame):
                self._metrics.count('dropped_stale')
                continue
            self._guarded(lambda: self._submit(frame), f'frame {frame.header.stamp_ns}')  # noqa: B023

    def _stale(self, frame: Frame) -> bool:
        max_age_ms = float(self._component.params.max_age_ms)
        return 0 < max_age_ms < (self._links.now_ns() - frame.header.stamp_ns) * 1e-6

    def _submit(self, frame: Frame) -> bool:
        stream = self._links.stream
        started = stream.record(timing=True)
        begin_s = time.perf_counter()
        results = self._compute(frame)
        self._metrics.observe('host', time.perf_counter() - begin_s)
        self._links.egress.submit(frame, results, stream, started)
        return True

    def _compute(self, frame: Frame) -> Results:
        try:
            return self._component.compute(frame, self._links.stream)
        except torch.OutOfMemoryError:
            self._metrics.count('memory_retries')
        # Outside the handler, where the error's traceback no longer holds what the attempt took.
        # One policy for all: give the cached memory of every stage back, try once more.
        self._component.context.budget.trim()
        return self._component.compute(frame, self._links.stream)
