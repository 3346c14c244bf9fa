# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The way out of a component: device results to ROS messages, off the stage's thread.

The stage takes a place with :meth:`Egress.acquire` and hands the results of one or more frames to
:meth:`Egress.submit`, which enqueues the copies and returns.  Once they are done, one of the
context's completion threads builds the messages and publishes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
import threading
import time
from typing import Any
from typing import NamedTuple
from typing import TYPE_CHECKING

import torch

from gpu_components.messages import image_message
from gpu_components.output import Result
from gpu_components.raw_sender import RawSender
from gpu_components.serialized import Serialized
from gpu_components.turns import TURNS
from gpu_runtime.frame import Frame

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_components.output_ports import OutputPorts
    from gpu_runtime.download import Download
    from gpu_runtime.event import Event
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.header import Header
    from gpu_runtime.stage_metrics import StageMetrics
    from gpu_runtime.stream import Stream

ON_DEVICE = 2
"""Batches of one component that the device works on or has yet to begin: more would only wait."""

IN_FLIGHT = 4
"""
Batches of one component between compute and publishing.  With those on the device alone, a
completion thread that comes late by one period made frames wait in queues.
"""


class _Outgoing(NamedTuple):
    """What becomes one message."""

    header: Header
    publisher: Any
    build: Callable[..., Any]
    arrays: slice  # of the download


class _Pending(NamedTuple):
    """The results of what was computed together, on their way."""

    frames: list[Frame]
    stream: Stream
    started: Event | None
    download: Download
    outgoing: list[_Outgoing]


class Egress:
    """
    Publishes the results of one component, in order.

    Parameters
    ----------
    name : str
        Fully qualified name of the component.
    ports : OutputPorts
        Where messages go.
    context : GpuContext
        Source of downloads.
    metrics : StageMetrics
        Of the component.
    log : object
        Logger of the node.

    """

    def __init__(
        self,
        name: str,
        ports: OutputPorts,
        context: GpuContext,
        metrics: StageMetrics,
        log: Any,
    ) -> None:
        self._ports = ports
        self._context = context
        self._metrics = metrics
        self._log = log
        self._sender = RawSender()
        self._taken = 0
        self._events: deque[Event] = deque(maxlen=ON_DEVICE)
        self._changed = threading.Condition()
        self._lane = context.completions.lane()
        self.freed: Callable[[bool], None] = lambda idle: None
        """Called when results are out, on the thread that sent them: is no place taken now?"""

    def stop(self) -> None:
        """Publish what is in flight; blocks until that is done."""
        self._lane.close()

    def acquire(self, *, blocking: bool = True) -> bool:
        """
        Take a place in flight, before the work.

        Parameters
        ----------
        blocking : bool
            Whether to wait while there is none.

        Returns
        -------
        bool
            Whether it was taken.

        """
        with self._changed:
            while not self._has_room():
                if not blocking:
                    return False
                self._changed.wait()
            self._taken += 1
            return True

    def _has_room(self) -> bool:
        if self._taken < ON_DEVICE:
            return True
        if self._taken >= IN_FLIGHT:
            return False
        # Behind a device that is lost there is room too: the work will find out.
        return len(self._events) < ON_DEVICE or self._events[0].settled()

    def release(self) -> bool:
        """Give a place back; return whether none is taken now."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()
            return not self._taken

    def submit(
        self, batch: Sequence[tuple[Frame, Results]], stream: Stream, started: Event | None
    ) -> None:
        """
        Hand over results, for the place taken before; does not block.

        Parameters
        ----------
        batch : sequence of tuple
            Each input, whose header goes onto every message, and what ``compute`` returned for
            it, by the topics of its camera.
        stream : Stream
            On which they are being computed.
        started : Event or None
            Recorded before the computation, with ``timing=True``; None where it is not timed.

        """
        wanted = self._ports.wanted()
        outgoing: list[_Outgoing] = []
        tensors: list[torch.Tensor] = []
        for frame, results in batch:
            for topic, result in results.items():
                if topic in wanted.bus:
                    self._put_on_bus(frame, topic, result, stream)
                if topic in wanted.ros:
                    own, build = to_ros(result, stream)
                    arrays = slice(len(tensors), len(tensors) + len(own))
                    outgoing.append(_Outgoing(frame.header, self._ports[topic], build, arrays))
                    tensors += own
        timing = started is not None
        download = self._context.transfers.download(tensors, stream, timing=timing)
        frames = [frame for frame, _ in batch]
        self._events.append(download.event)
        pending = _Pending(frames, stream, started, download, outgoing)
        self._lane.submit(download.event, stream, partial(self._finish, pending))

    def _put_on_bus(
        self, frame: Frame, topic: str, result: Result | Frame, stream: Stream
    ) -> None:
        if isinstance(result, Frame):
            self._ports.put_on_bus(topic, result)
        elif result.bus is not None:
            with stream, torch.inference_mode():
                item = result.bus(frame, result.tensors, stream)
            self._ports.put_on_bus(topic, item)

    def _finish(self, pending: _Pending) -> None:
        try:
            self._publish(pending)
        except Exception as error:
            self._context.notice(error)
            self._metrics.fail('egress', f'publishing failed: {error}')
            self._log.error(f'publishing failed: {error!r}', throttle_duration_sec=5.0)
        finally:
            pending.download.release()
            self.freed(self.release())

    def _publish(self, pending: _Pending) -> None:
        download = pending.download
        download.wait()
        if pending.started is not None:
            self._metrics.observe('device', download.event.seconds_since(pending.started))
        for header, publisher, build, arrays in pending.outgoing:
            message = TURNS.run(partial(build, header, *download.arrays[arrays]))
            if isinstance(message, Serialized):
                self._sender.send(publisher, message, download)
            else:
                publisher.publish(message)
        for frame in pending.frames:
            frame.done(pending.stream)
            latency_s = time.monotonic() - frame.received_s
            self._metrics.processed(frame.header.stamp_ns, latency=latency_s)


def to_ros(result: Result | Frame, stream: Stream) -> tuple[Any, Callable[..., Any]]:
    """
    Return what becomes of a result on its way to ROS.

    Parameters
    ----------
    result : Result or Frame
        As ``compute`` returns it.
    stream : Stream
        On which it is being computed.  Does not block.

    Returns
    -------
    tensors : sequence of torch.Tensor
        To be downloaded on that stream.
    build : callable
        Makes the message of a header and the downloaded arrays.

    """
    if isinstance(result, Result):
        return result.tensors, result.build

    def build(_header: Any, data: Any) -> Serialized:
        return image_message(result.header, result.format, data)

    return (result.use(stream),), build
