# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backend that captures a network once per input shape and replays it with one launch."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING

import torch

from gpu_runtime.captured_graph import capture
from gpu_runtime.captured_graph import CapturedGraph
from gpu_runtime.captured_graph import is_capturing
from gpu_runtime.errors import LifecycleError
from gpu_runtime.memory_account import outside_accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    import threading

    from gpu_runtime.memory_account import MemoryAccount
    from gpu_runtime.models.forward import Forward

_logger = logging.getLogger(__name__)

_Signature = tuple[tuple[torch.Size, torch.dtype], ...]

MAX_GRAPHS = 8
"""Graphs per model: each holds the memory of all its intermediate tensors."""

_TRIAL_RUNS = 1
"""Calls with what was prepared that belong to a warm-up still."""

_WARM_UP_RUNS = 3
"""As in torch's notes on CUDA graphs: lazy initialisation must be over before the capture."""


@dataclass(frozen=True)
class _Graph:
    """A graph that returns the outputs, with the tensors that it reads."""

    captured: CapturedGraph[tuple[torch.Tensor, ...]]
    inputs: tuple[torch.Tensor, ...]


class CudaGraphModel:
    """
    Replay a network as a CUDA graph; follows :class:`~gpu_runtime.models.Model`.

    One graph is captured per signature (shapes and types of the inputs).  Those that were prepared
    for a guess go when inputs of another signature come before theirs.  A network that cannot
    be captured, and every signature beyond :data:`MAX_GRAPHS`, runs eagerly; the reason is
    logged once.

    Parameters
    ----------
    forward : Forward
        The module and its casts, on a CUDA device.
    device : torch.device
        That device.
    capture_lock : threading.Lock
        The process's one lock for captures; held for the length of a capture.
    account : callable
        Returns the account that graphs are booked on when the thread that captures has none.

    """

    def __init__(
        self,
        forward: Forward,
        device: torch.device,
        capture_lock: threading.Lock,
        account: Callable[[], MemoryAccount | None] = lambda: None,
    ) -> None:
        self._forward: Forward | None = forward
        self._device = device
        self._lock = capture_lock
        self._account = account
        self._graphs: dict[_Signature, _Graph | None] = {}
        self._guesses: dict[_Signature, int] = {}  # prepared, with the calls so far

    @property
    def captured(self) -> int:
        """Number of signatures that are served by a graph."""
        return sum(graph is not None for graph in self._graphs.values())

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """
        Capture the graph for these shapes and types.

        The graph's tensors lie in a private pool, booked on the calling thread's account.

        Parameters
        ----------
        example_inputs : tuple of torch.Tensor
            Inputs as a frame will give them.  Blocks.

        """
        signature = _signature(example_inputs)
        self._guesses[signature] = 0
        self._graph(signature, example_inputs)

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Copy the inputs in and replay, on the current stream.

        Parameters
        ----------
        *inputs : torch.Tensor
            On the model's device.  A signature not prepared is captured now, which blocks.

        Returns
        -------
        tuple of torch.Tensor
            Owned by the model, overwritten by its next call with the same signature: use or
            copy them on the same stream before it.

        Raises
        ------
        LifecycleError
            After :meth:`close`.

        """
        signature = _signature(inputs)
        self._check_guesses(signature)
        graph = self._graph(signature, inputs)
        if graph is None:
            return self._open()(*inputs)
        with torch.inference_mode():
            for static, given in zip(graph.inputs, inputs, strict=True):
                static.copy_(given)
            graph.captured.replay()
        return graph.captured.result

    def release(self, signature: object) -> None:
        """
        Release the graph of one signature, from any thread.

        Parameters
        ----------
        signature : object
            Shapes and types of the inputs, which are not given any more.  Blocks until the device
            has finished the last replay.

        """
        graph = self._graphs.pop(signature, None)  # type: ignore[call-overload]
        if graph is not None:
            torch.cuda.synchronize(self._device)
            graph.captured.close()

    def close(self) -> None:
        """Release graphs and weights.  Blocks until the device has finished the last replay."""
        if self._forward is None:
            return
        torch.cuda.synchronize(self._device)
        # One step: another thread may be releasing one of them.
        graphs, self._graphs = self._graphs, {}
        for graph in graphs.values():
            if graph is not None:
                graph.captured.close()
        self._forward.close()
        self._forward = None

    def _open(self) -> Forward:
        if self._forward is None:
            raise LifecycleError('this model is closed: load it again before calling it')
        return self._forward

    def _check_guesses(self, called: _Signature) -> None:
        """Keep a graph that inputs come for; release those without, once inputs are others."""
        calls = self._guesses.pop(called, _TRIAL_RUNS)
        if calls < _TRIAL_RUNS:
            self._guesses[called] = calls + 1
        elif called not in self._graphs and not is_capturing():
            while self._guesses:
                self.release(self._guesses.popitem()[0])

    def _graph(self, signature: _Signature, inputs: tuple[torch.Tensor, ...]) -> _Graph | None:
        if signature not in self._graphs:
            if is_capturing():
                raise LifecycleError(f'inputs {signature} are not prepared: cannot capture now')
            self._graphs[signature] = self._try_capture(inputs)
        return self._graphs[signature]

    def _try_capture(self, inputs: tuple[torch.Tensor, ...]) -> _Graph | None:
        forward = self._open()
        if len(self._graphs) >= MAX_GRAPHS:
            _logger.warning(
                'inputs %s run eagerly: %d shapes are captured already; give the network one '
                'fixed input size',
                [tuple(tensor.shape) for tensor in inputs],
                MAX_GRAPHS,
            )
            return None
        try:
            with self._lock, torch.cuda.device(self._device), outside_accounts() as left:
                graph = self._capture(forward, inputs)
            account = left or self._account()
            if account is not None:
                account.book(graph.captured.pool)
            return graph
        except RuntimeError as error:
            _logger.warning(
                'this network runs eagerly, it cannot be captured as a CUDA graph (%s); set '
                'backend: eager to silence this',
                str(error).strip().splitlines()[0],
            )
            return None

    def _capture(self, forward: Forward, inputs: tuple[torch.Tensor, ...]) -> _Graph:
        static: list[torch.Tensor] = []

        def warm_up() -> None:
            with torch.inference_mode():
                static.extend(map(forward.own_input, inputs))
            for _ in range(_WARM_UP_RUNS):
                forward(*static)

        stream = torch.cuda.Stream(self._device)
        return _Graph(capture(lambda: forward(*static), stream, prepare=warm_up), tuple(static))


def _signature(inputs: tuple[torch.Tensor, ...]) -> _Signature:
    return tuple((tensor.shape, tensor.dtype) for tensor in inputs)
