# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The engines of one process: the store, the thread that builds and loads, and what it is doing.

Everything slow happens on that one thread, one thing after the other; the threads of the stages
only leave work for it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
import logging
import queue
import threading
from typing import TYPE_CHECKING

import torch

from gpu_runtime.engines.build_process import COMMAND
from gpu_runtime.engines.private_folder import locked
from gpu_runtime.errors import EngineError

if TYPE_CHECKING:
    from gpu_runtime.engines.engine_store import EngineStore
    from gpu_runtime.metrics import Metrics

_LOG = logging.getLogger(__name__)

NOTE = 'engine'
"""Name of the note in a stage's metrics."""


class EngineBuilds:
    """
    Builds engines for the models of a process.

    Parameters
    ----------
    device : torch.device
        Where they run.
    store : EngineStore
        Where they are kept.
    metrics : Metrics
        Is told what is done for each stage.
    command : sequence of str
        The builder; see :func:`run_build`.

    """

    def __init__(
        self,
        device: torch.device,
        store: EngineStore,
        metrics: Metrics,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.device = device
        self.store = store
        self.command = command
        self._metrics = metrics
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._states: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing is built any more."""
        return self._closed.is_set()

    def submit(self, work: Callable[[], None]) -> None:
        """
        Leave work for the thread.

        Parameters
        ----------
        work : callable
            Called once, after everything submitted before; not at all after :meth:`close`.  Does
            not block.

        """
        with self._lock:
            if self._thread is None and not self.closed:
                self._thread = threading.Thread(target=self._run, name='engines', daemon=True)
                self._thread.start()
        self._work.put(work)

    @contextmanager
    def turn(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """
        Wait until no other process builds for this store.

        Parameters
        ----------
        cancelled : callable
            Asked now and then; True gives up.

        Yields
        ------
        None
            The turn ends with the block.

        Raises
        ------
        EngineError
            If it was given up, or the store cannot be used.

        """
        self.store.open()
        while True:
            with locked(self.store.folder / 'building', timeout_s=1.0) as held:
                if held:
                    yield
                    return
            if cancelled():
                raise EngineError('the build was given up, as nobody waits for it any more')

    def tell(self, stage: str, model: str, state: str) -> None:
        """
        Tell how far the engine of a model is.

        Parameters
        ----------
        stage : str
            Name of the stage that runs it; empty if there is none.
        model : str
            The network.
        state : str
            For people; empty when the model is gone.

        """
        if not stage:
            return
        with self._lock:
            states = self._states.setdefault(stage, {})
            if state:
                states[model] = state
            else:
                states.pop(model, None)
            texts = [
                f'{name}: {text}' if len(states) > 1 else text for name, text in states.items()
            ]
            self._metrics.stage(stage).note(NOTE, '; '.join(texts))

    def close(self) -> None:
        """End what is being built and the thread; blocks until it has ended."""
        self._closed.set()
        self._work.put(None)
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        if self.device.type == 'cuda':
            # Of its own: torch's default stream would order it with whoever uses that.
            torch.cuda.set_device(self.device)
            torch.cuda.set_stream(torch.cuda.Stream(self.device))
        while (work := self._work.get()) is not None:
            if self.closed:
                return
            try:
                work()
            except Exception:
                _LOG.exception('work on an engine failed')
