# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
All of a component's work for a frame as one CUDA graph: one launch instead of dozens of calls.

Frames that follow each other are mostly alike in all that a component goes by.  After a few of
them its ``compute`` is captured on a stand-in for the frame; from then on the bytes of each frame
are copied there, and the graph is replayed.  The first frame that is not alike ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import cast
from typing import TYPE_CHECKING

import torch

from gpu_components.messages import image_message
from gpu_components.output import Result
from gpu_runtime.captured_graph import capture
from gpu_runtime.captured_graph import CapturedGraph
from gpu_runtime.errors import LifecycleError
from gpu_runtime.event import Event
from gpu_runtime.frame import Frame

if TYPE_CHECKING:
    from gpu_components.component import Component
    from gpu_components.output import Results
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.memory_account import MemoryAccount
    from gpu_runtime.stream import Stream

ALIKE = 3
"""Frames before a capture: kernels are compiled and tables made by then, as in a warm-up."""

_Computed = Sequence['Results | None']


@dataclass(frozen=True)
class _Captured:
    """A graph that returns results, with the frames that it reads."""

    graph: CapturedGraph[_Computed]
    stand_ins: tuple[Frame, ...]


class CapturedCompute:
    """
    Computes frames by replaying a graph where frames are alike; of one thread.

    Parameters
    ----------
    component : Component
        With ``params`` and ``prepared`` set.
    stream : Stream
        Current on the thread that calls.
    account : MemoryAccount
        The component's; graphs are booked there.
    wanted : callable
        Returns what tells which outputs are wanted now; compared only.
    tell : callable
        Gets for people what became of it: ``replayed``, why not, or nothing.

    """

    def __init__(
        self,
        component: Component[Any, Any],
        stream: Stream,
        account: MemoryAccount,
        wanted: Callable[[], object],
        tell: Callable[[str], None] = lambda state: None,
    ) -> None:
        self._component = component
        self._context: GpuContext = component.context
        self._stream = stream
        self._account = account
        self._wanted = wanted
        self._kind: object = None
        self._alike = 0
        self._captured: _Captured | None = None
        self._capturing: Stream | None = None
        self._tell = tell

    def replays(self, frames: Sequence[Any]) -> bool:
        """
        Return whether there is a graph for some frames.

        Parameters
        ----------
        frames : sequence of Frame
            Computed together.

        Returns
        -------
        bool
            Whether :meth:`replay` would return something.

        """
        captured = self._captured
        if captured is None or not captured.graph.valid:
            return False
        return self._kind_of(frames) == self._kind

    def replay(self, frames: Sequence[Any]) -> _Computed:
        """
        Compute frames by the graph.

        Parameters
        ----------
        frames : sequence of Frame
            Of which :meth:`replays` is true.  Does not block.

        Returns
        -------
        sequence of dict
            One entry per frame; their tensors are contiguous, and overwritten by the next call.

        """
        captured = self._captured
        assert captured is not None
        for stand_in, frame in zip(captured.stand_ins, frames, strict=True):
            self._context.transfers.copy(frame.use(self._stream), stand_in.data, self._stream)
        self._stream.launch(captured.graph.replay)
        return captured.graph.result

    def learn(self, frames: Sequence[Any]) -> _Computed | None:
        """
        Note frames that are not replayed; capture, once enough of them were alike.

        Parameters
        ----------
        frames : sequence of Frame
            As for :meth:`replay`.  Blocks for some milliseconds where it captures.

        Returns
        -------
        sequence of dict or None
            As :meth:`replay`; None where the component has to compute.

        """
        kind = self._kind_of(frames)
        if kind is None or kind != self._kind or self._captured is not None:
            self.forget()
            self._kind = kind
            return None
        self._alike += 1
        if self._alike == ALIKE:
            self._capture(frames, kind)
        return self.replay(frames) if self._captured else None

    def forget(self) -> None:
        """Release the graph, as before parameters change; blocks until its last replay ended."""
        captured, self._captured = self._captured, None
        self._kind, self._alike = None, 0
        if captured is not None:
            self._tell('')
            self._stream.record().wait_host()
            captured.graph.close()

    def close(self) -> None:
        """Release all; blocks as :meth:`forget`."""
        self.forget()
        stream, self._capturing = self._capturing, None
        if stream is not None:
            self._context.streams.release(stream)

    def _kind_of(self, frames: Sequence[Any]) -> object:
        """Return what the component goes by, but for bytes and parameters; None if unknown."""
        component = self._component
        if not (component.capturable and component.params.capture_graph):
            return None
        on_device = self._context.device.type != 'cpu'
        if not (on_device and all(type(frame) is Frame for frame in frames)):
            return None
        return (
            [frame.format for frame in frames],
            [component.camera(frame) for frame in frames],
            self._wanted(),
        )

    def _capture(self, frames: Sequence[Frame], kind: object) -> None:
        """Capture, if nobody else does now; where that fails, frames like these are computed."""
        if not self._context.capture_lock.acquire(blocking=False):
            self._alike -= 1
            return
        try:
            captured = self._try(frames)
            if kind == self._kind_of(frames):  # what is wanted may change at any moment
                self._captured = captured
                self._tell('replayed')
            else:
                self._alike -= 1
                captured.graph.close()
        except Exception as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            self._tell(f'none: {reason}')
            self._component.log.info(f'frames are computed without a graph: {reason}')
        finally:
            self._context.capture_lock.release()
        self._context.budget.trim()  # what the frames before took, and will not take again

    def _try(self, frames: Sequence[Frame]) -> _Captured:
        stand_ins: list[Frame] = []
        if self._capturing is None:  # always the same: memory is kept by stream
            self._capturing = self._context.streams.lease(f'{self._stream.name} capture')
        with self._capturing as stream:
            raw = cast('torch.cuda.Stream', stream.torch_stream)
            graph = capture(
                lambda: self._results(stand_ins, stream),
                raw,
                prepare=lambda: stand_ins.extend(map(self._stand_in, frames)),
                pool=self._account.graph_pool(raw),
            )
        return _Captured(graph, tuple(stand_ins))

    def _stand_in(self, frame: Frame) -> Frame:
        """Return a frame like another one, with memory of its own that nothing is in yet."""
        data = torch.zeros_like(frame.data)
        camera, transform = frame.camera_info, self._context.transform
        return Frame(frame.header, frame.format, data, Event(), transform, camera_info=camera)

    def _results(self, stand_ins: Sequence[Frame], stream: Stream) -> _Computed:
        if len(stand_ins) == 1:
            computed: _Computed = [self._component.compute(stand_ins[0], stream)]
        else:
            computed = self._component.compute_batch(stand_ins, stream)
        if any(
            result in stand_ins for results in computed if results for result in results.values()
        ):
            raise LifecycleError('pictures are passed on as they are')
        return [
            None if results is None else {t: self._again(r) for t, r in results.items()}
            for results in computed
        ]

    def _again(self, result: Result | Frame) -> Result:
        """Return a result that holds for every frame whose work the graph did."""
        if isinstance(result, Result):
            bus = None if result.bus is None else _copied(result.bus)
            tensors = tuple(tensor.contiguous() for tensor in result.tensors)
            return replace(result, tensors=tensors, bus=bus)
        context, layout, camera = self._context, result.format, result.camera_info

        def derived(frame: Frame, tensors: tuple[torch.Tensor, ...], stream: Stream) -> Frame:
            return context.derived_frame(frame, layout, tensors[0], stream, camera_info=camera)

        def build(header: Any, data: Any) -> Any:
            return image_message(header, layout, data)

        return Result((result.data,), build, _copied(derived))


def _copied(make: Callable[..., Any]) -> Callable[..., Any]:
    """Let others have copies of tensors that the next replay overwrites."""

    def bus(frame: Frame, tensors: tuple[torch.Tensor, ...], stream: Stream) -> Any:
        return make(frame, tuple(tensor.clone() for tensor in tensors), stream)

    return bus
