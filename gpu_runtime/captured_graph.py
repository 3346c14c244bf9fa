# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Work on the device captured as a CUDA graph, and replayed with one launch.

Graphs nest: where one is replayed while another is being captured, it becomes a part of that one.
Captures run under the process's one lock, in ``thread_local`` mode, on a stream of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
from typing import Any
from typing import Generic
from typing import TypeVar

import torch

T = TypeVar('T')

PoolHandle = tuple[int, int]
"""Names a memory pool of torch's allocator."""


class _Capturing(threading.local):
    """What the graph that the calling thread captures now depends on; None outside a capture."""

    conditions: list[Callable[[], bool]] | None = None


_CAPTURING = _Capturing()


def depend_on(condition: Callable[[], bool]) -> None:
    """
    Let the graph that the calling thread captures now hold only while a condition does.

    Parameters
    ----------
    condition : callable
        Asked by :attr:`CapturedGraph.valid`.  Nothing happens outside a capture.

    """
    if _CAPTURING.conditions is not None:
        _CAPTURING.conditions.append(condition)


def is_capturing() -> bool:
    """Return whether the calling thread is inside the ``work`` of a :func:`capture`."""
    return _CAPTURING.conditions is not None


class CapturedGraph(Generic[T]):
    """
    A graph with what its work returned; made by :func:`capture`.

    Parameters
    ----------
    graph : torch.cuda.CUDAGraph
        Kept along with its executable form, so that it can become a part of another one.
    result : object
        Tensors in it are overwritten by every replay: use or copy them on the same stream first.
    conditions : sequence of callable
        What the graph depends on.

    """

    def __init__(
        self, graph: torch.cuda.CUDAGraph, result: T, conditions: list[Callable[[], bool]]
    ) -> None:
        self.result = result
        self._graph: torch.cuda.CUDAGraph | None = graph
        self._conditions = tuple(conditions)

    @property
    def valid(self) -> bool:
        """Whether all that it was captured of is still there, and would be captured again."""
        return self._graph is not None and all(condition() for condition in self._conditions)

    @property
    def pool(self) -> PoolHandle:
        """The pool that its tensors lie in."""
        assert self._graph is not None
        handle: PoolHandle = self._graph.pool()
        return handle

    def replay(self) -> None:
        """Enqueue the work on the current stream, or add it to the graph captured there."""
        assert self._graph is not None
        if is_capturing():
            depend_on(lambda: self._graph is not None)
            _add_child(self._graph)
        else:
            self._graph.replay()

    def close(self) -> None:
        """Release graph and memory.  The last replay must have ended."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.reset()


def capture(
    work: Callable[[], T],
    stream: torch.cuda.Stream,
    *,
    prepare: Callable[[], None] | None = None,
    pool: GraphPool | None = None,
) -> CapturedGraph[T]:
    """
    Capture work as a graph; the caller holds the lock for captures.

    Parameters
    ----------
    work : callable
        Without arguments; enqueues on the current stream, waits for nothing, and allocates from
        the graph's pool.
    stream : torch.cuda.Stream
        To capture on: no other thread may use it meanwhile.
    prepare : callable, optional
        Called before, once, with the same pool and stream: makes tensors that the work uses, and
        warms it up.  The device has ended what it enqueues before the capture begins.
    pool : GraphPool, optional
        For the tensors; default one of its own.

    Returns
    -------
    CapturedGraph
        With what ``work`` returned.

    Raises
    ------
    RuntimeError
        If something in it cannot be captured.  Whatever ``work`` raises goes on as it is.

    """
    # torch.cuda.graph() is not used: it waits for the whole device and empties the cache of
    # the whole process, so that every other stage would stall whenever one is configured.
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    graph = torch.cuda.CUDAGraph(keep_graph=True)
    handle = pool.handle if pool else torch.cuda.graph_pool_handle()
    _CAPTURING.conditions, outer = None, _CAPTURING.conditions
    try:
        with torch.cuda.stream(stream):
            with _allocating_from(handle):  # the capture then takes what the preparation needed
                if prepare is not None:
                    prepare()
                stream.synchronize()
            conditions: list[Callable[[], bool]] = []
            result = _captured(graph, handle, work, conditions)
            graph.instantiate()
    finally:
        _CAPTURING.conditions = outer
    torch.cuda.current_stream(stream.device).wait_stream(stream)
    return CapturedGraph(graph, result, conditions)


class GraphPool:
    """
    Memory for graphs that are captured on one stream and replayed one after the other.

    What a closed graph held the next one takes.  Graphs may outlive it.

    Parameters
    ----------
    stream : torch.cuda.Stream
        On which they are captured: memory is kept by stream.  The caller holds the lock for
        captures.

    """

    def __init__(self, stream: torch.cuda.Stream) -> None:
        # torch gives a pool up with its last graph, so one that does next to nothing stays.
        # Not torch.cuda.MemPool: it holds device memory only, and torch's allocator of host memory
        # takes part in captures too.
        self._placeholder = capture(lambda: torch.zeros(1, device=stream.device), stream)
        self.handle = self._placeholder.pool

    def close(self) -> None:
        """Give the memory up, once the last graph is closed."""
        self._placeholder.close()


def _captured(
    graph: torch.cuda.CUDAGraph,
    pool: PoolHandle,
    work: Callable[[], T],
    conditions: list[Callable[[], bool]],
) -> T:
    try:
        try:
            graph.capture_begin(pool, capture_error_mode='thread_local')  # type: ignore[arg-type]
        finally:
            # The graph holds it now.
            torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
        _CAPTURING.conditions = conditions
        result = work()
        graph.capture_end()
    except BaseException:
        _abandon(graph, pool)
        raise
    finally:
        _CAPTURING.conditions = None
        torch._C._cuda_clearCublasWorkspaces()
    return result


def _add_child(graph: torch.cuda.CUDAGraph) -> None:
    """Add a graph to the one that the current stream captures (CUDA refuses to launch it)."""
    from cuda.bindings import runtime

    stream = torch.cuda.current_stream().cuda_stream
    _, _, outer, before, _, count = _checked(runtime.cudaStreamGetCaptureInfo(stream))
    child = runtime.cudaGraph_t(graph.raw_cuda_graph())
    (node,) = _checked(runtime.cudaGraphAddChildGraphNode(outer, before, count, child))
    replace = runtime.cudaStreamUpdateCaptureDependenciesFlags.cudaStreamSetCaptureDependencies
    _checked(runtime.cudaStreamUpdateCaptureDependencies(stream, [node], None, 1, replace))


def _checked(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    status, *values = answer
    if int(status) != 0:
        raise RuntimeError(f'a captured graph cannot be part of another one: {status!r}')
    return tuple(values)


@contextlib.contextmanager
def _allocating_from(pool: PoolHandle) -> Iterator[None]:
    """
    Let the calling thread allocate from the pool of a graph that is captured afterwards.

    ``torch.cuda.use_mem_pool`` would give the pool up at its end.  cuBLAS keeps a workspace per
    handle and stream; dropped before and after, so that no two graphs share one, whose
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


def _abandon(graph: torch.cuda.CUDAGraph, pool: PoolHandle) -> None:
    """End a capture that failed, for the driver and for torch's allocator; never raises."""
    try:
        graph.capture_end()
    except RuntimeError:
        # torch has left its allocator recording. From then on the destructor of any memory pool
        # would end the process (captures_underway, c10/cuda/CUDACachingAllocator.cpp).
        with contextlib.suppress(RuntimeError):  # it had ended before the failure
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
            torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
