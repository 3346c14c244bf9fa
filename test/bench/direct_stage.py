# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A stage without ROS around it: a component, its stream, its account and its captured graph."""

from __future__ import annotations

from collections.abc import Collection
import logging
from typing import Any

import torch

from gpu_components.captured_compute import CapturedCompute
from gpu_components.component import close_prepared
from gpu_components.egress import to_ros
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat


class DirectStage:
    """
    A component that is called as the thread of its stage does, one picture after the other.

    Parameters
    ----------
    context : GpuContext
        Where it runs.
    kind : type
        The component.
    wanted : collection of str
        The outputs that somebody takes.
    values : dict
        Its parameters.

    """

    def __init__(
        self, context: GpuContext, kind: type[Any], wanted: Collection[str], values: dict[str, Any]
    ) -> None:
        self.context = context
        self.name = kind.default_name()
        self._wanted = wanted
        self.component = kind(context, logging.getLogger(self.name), wanted.__contains__)
        self.component.params = kind.parameters(**values)
        self.component.check(self.component.params)
        self._account = context.budget.open(self.name)
        self._stream = context.streams.lease(self.name)
        with self._account.use():
            self.component.prepared = self.component.prepare(self.component.params)
        self._captured = CapturedCompute(
            self.component, self._stream, self._account, lambda: self._wanted
        )

    def enqueue(self, frame: Any, *, keep: bool = False) -> list[tuple[str, Any, Any]]:
        """Compute a frame; return topic, builder and download of what is wanted, or of all."""
        with self._stream, torch.inference_mode():
            enqueued = []
            for topic, result in self._compute(frame).items():
                if keep or topic in self._wanted:
                    tensors, build = to_ros(result, self._stream)
                    download = self.context.transfers.download(tensors, self._stream)
                    enqueued.append((topic, build, download))
            return enqueued

    def done(self, frame: Any) -> None:
        """Let go of a frame whose results have arrived, as the egress does."""
        frame.done(self._stream)

    def answer(self, picture: Any) -> Any:
        """Compute a picture, (H, W, 3) uint8 BGR, and return its one output's array; blocks."""
        height, width = picture.shape[:2]
        layout = ImageFormat(width, height, 'bgr8', width * 3)
        ((_, _, download),) = self.enqueue(self.context.frame(Header(0, ''), layout, picture))
        download.wait()
        array = download.arrays[0].copy()
        download.release()
        return array

    def _compute(self, frame: Any) -> Any:
        """Replay the graph of the frames before where this one is alike."""
        if self._captured.replays([frame]):
            return self._captured.replay([frame])[0]
        learnt = self._captured.learn([frame])
        return learnt[0] if learnt else self.component.compute(frame, self._stream)

    def note(self) -> str:
        """Return what diagnostics tell of the engine."""
        return self.context.metrics.stage(self.name).snapshot().notes.get('engine', '')

    def close(self) -> None:
        """Give everything back."""
        self._captured.close()
        close_prepared(self.component.prepared)
        self.context.streams.release(self._stream)
        self.context.budget.close_account(self._account)
