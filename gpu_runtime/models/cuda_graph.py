# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backend that records a network once per input shape and replays it with one launch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import LifecycleError
from gpu_runtime.memory_account import outside_accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Iterator
    import threading

    from gpu_runtime.memory_account import MemoryAccount
    from gpu_runtime.models.forward import Forward

_logger = logging.getLogger(__name__)

_Signature = tuple[tuple[torch.Size, torch.dtype], ...]

MAX_GRAPHS = 8
"""Recordings per model: each holds the memory of all its intermediate tensors."""

_WARM_UP_RUNS = 3
"""As in torch's notes on CUDA graphs: lazy initialisation must be over before the capture."""


@dataclass
class _Recording:
    """A graph with the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]


class CudaGraphModel:
    """
    Replay a network as a CUDA graph; follows :class:`~gpu_runtime.models.Model`.

    One graph is recorded per signature (shapes and types of the inputs).  A network that cannot
    be recorded, and every signature beyond :data:`MAX_GRAPHS`, runs eagerly; the reason is
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
        self._recordings: dict[_Signature, _Recording | None] = {}

    @property
    def captured(self) -> int:
        """Number of signatures that are served by a graph."""
        return sum(recording is not None for recording in self._recordings.values())

    def prepare(self, example_inputs: tuple[torch.Tensor, ...]) -> None:
        """
        Record the graph for these shapes and types.

        The graph's tensors lie in a private pool, booked on the calling thread's account.

        Parameters
        ----------
        example_inputs : tuple of torch.Tensor
            Inputs as a frame will give them.  Blocks.

        """
        self._recording(example_inputs)

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Copy the inputs in and replay, on the current stream.

        Parameters
        ----------
        *inputs : torch.Tensor
            On the model's device.  A signature not prepared is recorded now, which blocks.

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
        recording = self._recording(inputs)
        if recording is None:
            return self._open()(*inputs)
        with torch.inference_mode():
            for static, given in zip(recording.inputs, inputs, strict=True):
                static.copy_(given)
            recording.graph.replay()
        return recording.outputs

    def release(self, signature: object) -> None:
        """
        Release the graph of one signature, from any thread.

        Parameters
        ----------
        signature : object
            Shapes and types of the inputs, which are not given any more.  Blocks until the device
            has finished the last replay.

        """
        recording = self._recordings.pop(signature, None)  # type: ignore[call-overload]
        if recording is not None:
            torch.cuda.synchronize(self._device)
            recording.graph.reset()

    def close(self) -> None:
        """Release graphs and weights.  Blocks until the device has finished the last replay."""
        if self._forward is None:
            return
        torch.cuda.synchronize(self._device)
        # One step: another thread may be releasing one of them.
        recordings, self._recordings = self._recordings, {}
        for recording in recordings.values():
            if recording is not None:
                recording.graph.reset()
        self._forward.close()
        self._forward = None

    def _open(self) -> Forward:
        if self._forward is None:
            raise LifecycleError('this model is closed: load it again before calling it')
        return self._forward

    def _recording(self, inputs: tuple[torch.Tensor, ...]) -> _Recording | None:
        signature = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if signature not in self._recordings:
            self._recordings[signature] = self._try_capture(inputs)
        return self._recordings[signature]

    def _try_capture(self, inputs: tuple[torch.Tensor, ...]) -> _Recording | None:
        forward = self._open()
        if len(self._recordings) >= MAX_GRAPHS:
            _logger.warning(
                'inputs %s run eagerly: %d shapes are recorded already; give the network one '
                'fixed input size',
                [tuple(tensor.shape) for tensor in inputs],
                MAX_GRAPHS,
            )
            return None
        try:
            with self._lock, torch.cuda.device(self._device), outside_accounts() as left:
                recording = self._capture(forward, inputs)
            account = left or self._account()
            if account is not None:
                account.book(recording.graph.pool())
            return recording
        except RuntimeError as error:
            _logger.warning(
                'this network runs eagerly, it cannot be recorded as a CUDA graph (%s); set '
                'backend: eager to silence this',
                str(error).strip().splitlines()[0],
            )
            return None

    def _capture(self, forward: Forward, inputs: tuple[torch.Tensor, ...]) -> _Recording:
        # torch.cuda.graph() is not used: it waits for the whole device and empties the cache of
        # the whole process, so that every other stage would stall whenever one is configured.
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        with torch.cuda.stream(stream):
            with _allocating_from(pool):  # the recording then takes what the warm-up needed
                with torch.inference_mode():
                    static = tuple(map(forward.own_input, inputs))
                for _ in range(_WARM_UP_RUNS):
                    forward(*static)
                stream.synchronize()
            try:
                graph.capture_begin(pool, capture_error_mode='thread_local')
            finally:
                # The graph holds it now.
                torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
            try:
                outputs = forward(*static)
                graph.capture_end()
            except BaseException:
                _abandon(graph, pool)
                raise
            finally:
                torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return _Recording(graph, static, outputs)


@contextlib.contextmanager
def _allocating_from(pool: tuple[int, int]) -> Iterator[None]:
    """
    Let the calling thread allocate from the pool of a recording that begins afterwards.

    ``torch.cuda.use_mem_pool`` would give the pool up at its end.  cuBLAS keeps a workspace per
    handle and stream; dropped before and after, so that no two recordings share one, whose
    replays may overlap.
    """
    device = torch.cuda.current_device()
    torch._C._cuda_clearCublasWorkspaces()
    torch._C._cuda_beginAllocateCurrentThreadToPool(device, pool)
    try:
        yield
    except BaseException:
        torch._C._cuda_endAllocateToPool(device, pool)
        torch._C._cuda_releasePool(device, pool)
        raise
    torch._C._cuda_endAllocateToPool(device, pool)


def _abandon(graph: torch.cuda.CUDAGraph, pool: tuple[int, int]) -> None:
    """End a capture that failed, for the driver and for torch's allocator; never raises."""
    try:
        graph.capture_end()
    except RuntimeError:
        # torch has left its allocator recording. From then on the destructor of any memory pool
        # would end the process (captures_underway, c10/cuda/CUDACachingAllocator.cpp).
        with contextlib.suppress(RuntimeError):  # it had ended before the failure
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
            torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
