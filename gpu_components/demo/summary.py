# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a run of the demo amounts to, as ``summary.json`` holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
import platform
from typing import Any
from typing import TYPE_CHECKING

from rclpy.utilities import get_rmw_implementation_identifier

from gpu_runtime.timing import Timing

if TYPE_CHECKING:
    from gpu_components.demo.monitor import Sighting
    from gpu_runtime.stage_snapshot import StageSnapshot

DISTRIBUTIONS = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'rclpy': ('ros-rclpy', 'rclpy'),
    'cupy': ('cupy-cuda13x', 'cupy-cuda12x', 'cupy'),
    'numpy': ('numpy',),
    'gpu_perception': ('gpu-perception',),
}
"""Python distributions by the name that the summary gives them; the first installed one counts."""


def stage_counts(stage: StageSnapshot) -> dict[str, Any]:
    """
    Return a stage's frames: in, processed, dropped and why.

    Parameters
    ----------
    stage : StageSnapshot
        Of a component.

    Returns
    -------
    dict
        Frames that came in while nobody wanted a result are not in it.

    """
    causes = {k.removeprefix('dropped_'): n for k, n in stage.counts.items() if 'dropped_' in k}
    # A frame that another one pushed out of the queue never reached the stage's own counter.
    received = stage.counts.get('received', 0) + causes.get('overflow', 0)
    return {
        'in': received,
        'processed': stage.counts.get('processed', 0),
        'dropped': stage.dropped,
        'dropped_by_cause': causes,
        'compute_ms': milliseconds(stage.timings.get('device')),
        'queue_ms': milliseconds(stage.timings.get('queue')),
    }


def milliseconds(timing: Timing | None) -> dict[str, float] | None:
    """
    Return a distribution in milliseconds.

    Parameters
    ----------
    timing : Timing or None
        In seconds.

    Returns
    -------
    dict of str to float, or None
        p50, p95, p99 and max; None without samples.

    """
    if timing is None or timing.count == 0:
        return None
    values = {'p50': timing.p50_s, 'p95': timing.p95_s, 'p99': timing.p99_s, 'max': timing.max_s}
    return {name: round(value * 1e3, 3) for name, value in values.items()}


def summarise(
    sightings: list[Sighting], stages: Mapping[str, StageSnapshot], seconds: float
) -> dict[str, Any]:
    """
    Return the figures of a run.

    Parameters
    ----------
    sightings : list of Sighting
        All that was received.
    stages : Mapping of str to StageSnapshot
        The container's metrics after the last frame.
    seconds : float
        How long pictures flowed.

    Returns
    -------
    dict
        Ready for JSON.

    """
    names = Counter(name for sighting in sightings for name in sighting.names)
    latencies = [sighting.latency_s for sighting in sightings]
    return {
        'seconds': round(seconds, 3),
        'rate_hz': round(len(sightings) / seconds, 3) if seconds > 0 else None,
        'stages': {name: stage_counts(stage) for name, stage in sorted(stages.items())},
        'detections': {
            'messages': len(sightings),
            'messages_with_objects': sum(1 for sighting in sightings if sighting.names),
            'objects': sum(names.values()),
            'by_class': dict(names),
        },
        # From the stamp that the camera gave to the message in another node's hands.
        'latency_ms': milliseconds(Timing.of(latencies, len(latencies))),
        'versions': versions(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of what ran; None for what is not installed."""
    found: dict[str, str | None] = {'python': platform.python_version(), 'os': platform.platform()}
    found.update({name: _first_version(options) for name, options in DISTRIBUTIONS.items()})
    found['rmw'] = get_rmw_implementation_identifier()
    return found


def _first_version(distributions: tuple[str, ...]) -> str | None:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def problems(summary: Mapping[str, Any], stages: Mapping[str, StageSnapshot]) -> list[str]:
    """
    Return why a run did not show what it is for.

    Parameters
    ----------
    summary : Mapping
        As :func:`summarise` returns it, with ``live_change``.
    stages : Mapping of str to StageSnapshot
        The same as it was made from.

    Returns
    -------
    list of str
        Empty if all is well.

    """
    found = [f'{name}: {stage.error}' for name, stage in sorted(stages.items()) if stage.error]
    if not summary['detections']['objects']:
        found.append(f'nothing was found in {summary["detections"]["messages"]} pictures')
    if summary['live_change'] and not summary['live_change']['obeyed']:
        found.append('a changed threshold did not hold from the next picture on')
    return found
