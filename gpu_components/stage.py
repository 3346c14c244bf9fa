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
from typing import Any
from typing import TYPE_CHECKING

import torch

from gpu_components.component import close_prepared
from gpu_components.component import replace

if TYPE_CHECKING:
    from gpu_components.component import Component
    from gpu_components.component_parameters import ComponentParameters
    from gpu_components.egress import Egress
    from gpu_components.output_ports import OutputPorts
    from gpu_runtime.memory_account import MemoryAccount
    from gpu_runtime.stage_metrics import StageMetrics
    from gpu_runtime.stream import Stream


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
    account : MemoryAccount
        The component's device memory.
    ports : OutputPorts
        Tells which results are wanted.
    egress : Egress
        Where results go.
    metrics : StageMetrics
        Of the component.
    now_ns : callable
        Time of the node's clock.

    """

    component: Component[Any, Any]
    stream: Stream
    account: MemoryAccount
    ports: OutputPorts
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
        self._closing(lambda: close_prepared(skipped))

    def _apply_swap(self) -> None:
        with self._swap_lock:
            swap, self._swap = self._swap, None
        if swap is not None:
            self._before_swap()
            self._closing(lambda: replace(self._component, *swap))

    def _before_swap(self) -> None:
        """Let go of what other parameters make wrong."""

    def _closing(self, work: Callable[[], None]) -> None:
        """Replace what was prepared; count and log if the old cannot be closed."""
        try:
            work()
        except Exception as error:
            self._metrics.fail('close', f'closing what was replaced failed: {error!r}')
            self._component.log.error(f'closing what was replaced failed: {error!r}')
            self._component.context.notice(error)

    def _guarded(self, work: Callable[[], bool], what: Callable[[], str]) -> None:
        """Take a place in flight, and do some work that tells if it needed it; may block."""
        self._links.egress.acquire()
        self._with_place(work, what)

    def _with_place(self, work: Callable[[], bool], what: Callable[[], str]) -> None:
        """Do some work, which tells if it submitted, and give its place back if it did not."""
        if not self._attempt(work, what):
            self._links.egress.release()

    def _attempt(self, work: Callable[[], bool], what: Callable[[], str]) -> bool:
        """Return what some work tells; False if it fails, which is counted and logged."""
        try:
            return work()
        except Exception as error:
            self._dropped(error, what())
            return False

    def _dropped(self, error: Exception, what: str) -> None:
        cause = 'out_of_memory' if isinstance(error, torch.OutOfMemoryError) else 'error'
        self._metrics.fail(cause, f'{type(error).__name__}: {error}')
        self._component.log.error(f'{what} dropped: {error}', throttle_duration_sec=5.0)
        self._component.context.notice(error)
