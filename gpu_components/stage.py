# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The thread of one component: takes a frame, runs ``compute`` on its stream, hands results on.

An exception costs the frame it happened on, never the process; a lost CUDA context is the one
thing that is reported upwards, since no stage can go on with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from gpu_components.component import Component
    from gpu_components.component import Results
    from gpu_components.egress import Egress
    from gpu_components.parameters import ComponentParameters
    from gpu_runtime.frame import Frame
    from gpu_runtime.frame_bus import Subscription
    from gpu_runtime.metrics import StageMetrics
    from gpu_runtime.stream import Stream


IDLE_S = 0.5
"""A stage without frames looks this often whether it got other parameters."""


@dataclass(frozen=True)
class StageLinks:
    """
    What a stage's thread works with.

    Parameters
    ----------
    component : Component
        With ``params`` and ``prepared`` set.
    stream : Stream
        Bound around the component's work.
    egress : Egress
        Where results go.
    metrics : StageMetrics
        Of the component.
    now_ns : callable
        Time of the node's clock.

    """

    component: Component[Any, Any]
    stream: Stream
    egress: Egress
    metrics: StageMetrics
    now_ns: Callable[[], int]


class Stage:
    """
    A thread that runs one component; a subclass writes ``_run``.

    Parameters
    ----------
    links : StageLinks
        What the thread works with.
    name : str
        Name of the thread.

    """

    def __init__(self, links: StageLinks, name: str) -> None:
        self._links = links
        self._component = links.component
        self._metrics = links.metrics
        self._swap: tuple[ComponentParameters, Any] | None = None
        self._swap_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks until it has ended."""
        self._thread.join()
        self._apply_swap()

    def swap(self, params: ComponentParameters, prepared: Any | None) -> None:
        """
        Use other parameters from the next frame on.

        Parameters
        ----------
        params : ComponentParameters
            The new values.
        prepared : object or None
            What ``prepare`` returned for them; None keeps what is in use.

        """
        with self._swap_lock:
            skipped = self._swap[1] if self._swap else None
            if prepared is None:
                prepared, skipped = skipped, None
            self._swap = (params, prepared)
        close_prepared(skipped)

    def _apply_swap(self) -> None:
        with self._swap_lock:
            swap, self._swap = self._swap, None
        if swap is not None:
            replace(self._component, *swap)

    def _guarded(self, work: Callable[[], None], what: str) -> None:
        """Run one frame's work; count and log what goes wrong."""
        try:
            with self._links.stream, torch.inference_mode():
                work()
        except Exception as error:
            cause = 'out_of_memory' if isinstance(error, torch.OutOfMemoryError) else 'error'
            self._metrics.fail(cause, f'{type(error).__name__}: {error}')
            self._component.log.error(f'{what} dropped: {error}', throttle_duration_sec=5.0)
            self._component.context.notice(error)


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

    def _submit(self, frame: Frame) -> None:
        stream = self._links.stream
        started = stream.record(timing=True)
        begin_s = time.perf_counter()
        results = self._compute(frame)
        self._metrics.observe('host', time.perf_counter() - begin_s)
        self._links.egress.submit(frame, results, stream, started)

    def _compute(self, frame: Frame) -> Results:
        try:
            return self._component.compute(frame, self._links.stream)
        except torch.OutOfMemoryError:
            # One policy for all: give the cached memory of every stage back, try once more.
            self._component.context.budget.trim()
            self._metrics.count('memory_retries')
            return self._component.compute(frame, self._links.stream)


def replace(component: Component[Any, Any], params: ComponentParameters, prepared: Any) -> None:
    """
    Give a component other parameters, between two frames.

    Parameters
    ----------
    component : Component
        Not computing now.
    params : ComponentParameters
        The new values.
    prepared : object or None
        What ``prepare`` returned for them; None keeps what is in use.

    """
    component.params = params
    if prepared is not None:
        old, component.prepared = component.prepared, prepared
        close_prepared(old)


def close_prepared(prepared: Any) -> None:
    """
    Release what a component prepared.

    Parameters
    ----------
    prepared : object
        Its ``close()`` is called if it has one.

    """
    close = getattr(prepared, 'close', None)
    if close is not None:
        close()
