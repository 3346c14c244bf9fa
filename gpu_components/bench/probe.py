# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One stretch of pictures at one rate, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Literal

from gpu_components.bench.performance import percentiles
from gpu_components.bench.performance import Performance

KEPT_RATE = 0.99
"""Part of the rate asked for that the publisher has to reach."""

LATE = 0.01
"""Part of the pictures that may leave more than a period late."""


@dataclass(frozen=True)
class Playing:
    """
    What the publisher did.

    Parameters
    ----------
    requested_hz : float
        Pictures per second of each camera that were asked for.
    achieved_hz : float
        Those that the slowest camera sent.
    frames : int
        Pictures of all cameras.
    late : int
        Of them, those that left more than a period after their deadline.
    worst_late_ms : float or None
        How much the latest was late; None where the camera does not tell.

    """

    requested_hz: float
    achieved_hz: float
    frames: int
    late: int
    worst_late_ms: float | None

    @property
    def kept(self) -> bool:
        """Whether the rate was kept, so that what is lost is not the publisher's."""
        in_time = self.late <= LATE * self.frames
        return in_time and self.achieved_hz >= KEPT_RATE * self.requested_hz


@dataclass(frozen=True)
class Probe:
    """
    One stretch at one rate.

    Parameters
    ----------
    playing : Playing
        What was sent.
    outputs : Mapping of str to Performance
        By topic.
    accepted_loss : float
        Part of the pictures that may be lost on any output, 0 to 1.
    cpu_ms : Mapping of str to float
        CPU milliseconds of each process.
    cpu_percent : float
        How busy all cores were together.
    drops : Mapping of str to Mapping
        Lost pictures by topic and cause, where the contender tells.
    timings : Mapping of str to Mapping
        The container's own timings by stage: milliseconds by name.

    """

    playing: Playing
    outputs: Mapping[str, Performance]
    accepted_loss: float
    cpu_ms: Mapping[str, float]
    cpu_percent: float
    drops: Mapping[str, Mapping[str, int]]
    timings: Mapping[str, Mapping[str, float]]

    @property
    def loss(self) -> float:
        """Part of the pictures that the worst output lost, 0 to 1."""
        sent = {topic: p.metrics['NUM_FRAMES_SENT'] for topic, p in self.outputs.items()}
        return max(
            p.lost / sent[topic] if sent[topic] else 1.0 for topic, p in self.outputs.items()
        )

    @property
    def verdict(self) -> Literal['sustained', 'lost', 'publisher']:
        """Whether little enough was lost; who did not keep the rate cannot blame a receiver."""
        if not self.playing.kept:
            return 'publisher'
        return 'sustained' if self.loss <= self.accepted_loss else 'lost'

    def latencies(self) -> dict[str, list[float]]:
        """Return the latencies in milliseconds by output, of all cameras."""
        pooled: dict[str, list[float]] = {}
        for topic, performance in self.outputs.items():
            pooled.setdefault(topic.rpartition('/')[2], []).extend(performance.latencies_ms)
        return pooled

    def cpu_ms_per_frame(self) -> dict[str, float]:
        """Return the CPU milliseconds of each process for each picture of any camera."""
        frames = max(1, self.playing.frames)
        return {name: used_ms / frames for name, used_ms in self.cpu_ms.items()}

    def as_json(self) -> dict[str, Any]:
        """Return the probe as JSON has it; latencies only as percentiles."""
        latencies = self.latencies()
        return {
            'requested_hz': self.playing.requested_hz,
            'achieved_hz': self.playing.achieved_hz,
            'late': self.playing.late,
            'worst_late_ms': self.playing.worst_late_ms,
            'verdict': self.verdict,
            'loss': self.loss,
            'sent': self.playing.frames,
            'received': {topic: len(p.latencies_ms) for topic, p in self.outputs.items()},
            'unexpected': sum(p.unexpected for p in self.outputs.values()),
            'latency_ms': {name: percentiles(values) for name, values in latencies.items()},
            'cpu_ms_per_frame': self.cpu_ms_per_frame(),
            'ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION': self.cpu_percent,
            'drops': self.drops,
            'timings_ms': self.timings,
        }
