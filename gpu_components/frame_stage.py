# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The stage of a component that reads pictures."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from itertools import count
import time
from typing import TYPE_CHECKING

import torch

from gpu_components.camera_topics import topic_of
from gpu_components.captured_compute import CapturedCompute
from gpu_components.stage import Stage
from gpu_components.turns import TURNS

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_components.stage import StageLinks
    from gpu_runtime.frame import Frame
    from gpu_runtime.subscription_group import SubscriptionGroup

_Compute = Callable[[Sequence['Frame']], Sequence['Results | None']]
_Submit = Callable[[Sequence[tuple[int, 'Frame']]], bool]

TIMED = 8
"""
One batch of so many is timed on the device, the first too.  CUDA takes 20 us under the interpreter
lock to tell the time between two events, and half of that to record one (H100).
"""

IDLE_S = 0.5
"""A stage without frames looks this often whether it got other parameters."""


class FrameStage(Stage):
    """
    Runs a component for the frames of its cameras, one by one or in batches.

    Parameters
    ----------
    links : StageLinks
        What the thread works with.
    inputs : SubscriptionGroup
        Where frames come from, in the order of the cameras; :meth:`stop` closes it.
    name : str
        Name of the thread.

    """

    def __init__(self, links: StageLinks, inputs: SubscriptionGroup[Frame], name: str) -> None:
        super().__init__(links, name)
        self._inputs = inputs
        self._cameras = links.component.cameras(links.component.params)
        self._captured = CapturedCompute(
            links.component,
            links.stream,
            links.account,
            links.ports.kinds,
            partial(links.metrics.note, 'graph'),
        )
        self._batches = count()

    def start(self) -> None:
        """Start the thread."""
        super().start()
        self._inputs.serve(self._at_once)
        self._links.egress.freed = lambda idle: self._inputs.retry(needed=idle)

    def stop(self) -> None:
        """Close the inputs and end the thread; blocks until it has ended."""
        self._inputs.close()
        super().stop()
        self._captured.close()

    def _before_swap(self) -> None:
        self._captured.forget()

    def _run(self) -> None:
        while not self._inputs.closed:
            most, linger_s = self._component.batch(self._component.params)
            items = self._inputs.take(IDLE_S, most=most, linger_s=linger_s)
            self._apply_swap()
            fresh = [(index, frame) for index, frame in items if not self._stale(frame)]
            if fresh:
                self._guarded(partial(self._in_turn, fresh), partial(_described, fresh))
            # Not to be held while the stage waits for the next ones.
            del items, fresh

    def _in_turn(self, items: Sequence[tuple[int, Frame]]) -> bool:
        return TURNS.run(partial(self._entered, items))

    def _at_once(self, index: int, frame: Frame) -> bool | None:
        """
        Enqueue a frame on the thread that brings it, while the stage's own waits for one.

        Only what takes no more time than to wake that thread, and cannot block.  Without a place
        in flight the frame waits for the thread that brings the next one, or frees the last place.
        """
        if self._swap is not None:
            return False
        if not self._links.egress.acquire(blocking=False):
            return None
        submit = self._brief(frame)
        if submit is None:
            self._links.egress.release()
            return False
        fresh = [] if self._stale(frame) else [(index, frame)]
        self._with_place(partial(submit, fresh), partial(_described, fresh))
        return True

    def _brief(self, frame: Frame) -> _Submit | None:
        """Return how to compute and submit a frame in no time, if there is a way."""
        if self._component.passes_on:
            return self._entered
        try:
            most, _ = self._component.batch(self._component.params)
            return self._replayed if most == 1 and self._captured.replays([frame]) else None
        except Exception:  # whose fault it is the stage's own thread finds out and tells
            return None

    def _stale(self, frame: Frame) -> bool:
        self._metrics.add('received', queue=time.monotonic() - frame.received_s)
        max_age_ms = float(self._component.params.max_age_ms)
        stale = 0 < max_age_ms < (self._links.now_ns() - frame.header.stamp_ns) * 1e-6
        if stale:
            self._metrics.count('dropped_stale')
        return stale

    def _entered(self, items: Sequence[tuple[int, Frame]]) -> bool:
        """Compute with all that a component may rely on."""
        with self._links.stream, torch.inference_mode():
            return self._submit(items, self._compute)

    def _replayed(self, items: Sequence[tuple[int, Frame]]) -> bool:
        """Compute by the graph, which was captured with all that, and needs none of it again."""
        return self._submit(items, self._replay)

    def _submit(self, items: Sequence[tuple[int, Frame]], compute: _Compute) -> bool:
        if not items:
            return False
        stream = self._links.stream
        started = stream.record(timing=True) if next(self._batches) % TIMED == 0 else None
        begin_s = time.perf_counter()
        computed = compute([frame for _, frame in items])
        self._metrics.add('batches', host=time.perf_counter() - begin_s)
        batch = [
            (frame, self._by_topic(self._cameras[index], results))
            for (index, frame), results in zip(items, computed, strict=True)
            if results is not None
        ]
        if batch:
            self._links.egress.submit(batch, stream, started)
        return bool(batch)

    @staticmethod
    def _by_topic(camera: str, results: Results) -> Results:
        if not camera:
            return results
        return {topic_of(camera, topic): result for topic, result in results.items()}

    def _compute(self, frames: Sequence[Frame]) -> Sequence[Results | None]:
        """Compute together; if that fails, one by one, so that a bad frame costs only itself."""
        if self._captured.replays(frames):
            return self._replay(frames)
        replayed = self._captured.learn(frames)
        if replayed is not None:
            return replayed
        if len(frames) == 1:
            return [self._alone(frames[0])]
        try:
            return self._component.compute_batch(frames, self._links.stream)
        except Exception as error:
            self._component.context.notice(error)
            self._component.log.warning(
                f'a batch of {len(frames)} is computed frame by frame: {error}',
                throttle_duration_sec=5.0,
            )
        self._metrics.count('batches_split')
        return [self._rescued(frame) for frame in frames]

    def _replay(self, frames: Sequence[Frame]) -> Sequence[Results | None]:
        self._metrics.count('replayed')
        return self._captured.replay(frames)

    def _rescued(self, frame: Frame) -> Results | None:
        try:
            return self._alone(frame)
        except Exception as error:
            self._dropped(error, _described([(0, frame)]))
            return None

    def _alone(self, frame: Frame) -> Results:
        try:
            return self._component.compute(frame, self._links.stream)
        except torch.OutOfMemoryError:
            self._metrics.count('memory_retries')
        # Outside the handler, where the error's traceback no longer holds what the attempt took.
        # One policy for all: give the cached memory of every stage back, try once more.
        self._component.context.budget.trim()
        return self._component.compute(frame, self._links.stream)


def _described(items: Sequence[tuple[int, Frame]]) -> str:
    return 'frame ' + ', '.join(str(frame.header.stamp_ns) for _, frame in items)
