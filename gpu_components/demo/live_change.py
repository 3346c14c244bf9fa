# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Proof that a parameter changed over ROS holds from the next picture on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_components.demo.monitor import Monitor
    from gpu_components.demo.monitor import Sighting

PARAMETER = 'confidence_threshold'
HIGHER = 0.99
PICTURES = 3
WAIT_S = 30.0


@dataclass(frozen=True)
class LiveChange:
    """
    What a higher threshold did to the running detector.

    Parameters
    ----------
    parameter : str
        Which was changed, and changed back.
    before : float
        Its value in the pipeline file.
    during : float
        Its value meanwhile.
    answer_ms : float
        From the request to the answer, in milliseconds.
    pictures : int
        Pictures taken after the answer and judged.
    objects_before : int
        Objects on the last picture before the change.
    objects_during : int
        Objects on the judged pictures.
    obeyed : bool
        Whether no judged picture reported a score below the threshold.

    """

    parameter: str
    before: float
    during: float
    answer_ms: float
    pictures: int
    objects_before: int
    objects_during: int
    obeyed: bool


def change_live(monitor: Monitor, before: float) -> LiveChange:
    """
    Raise the threshold for some pictures, watch, and lower it again.

    Parameters
    ----------
    monitor : Monitor
        Being spun, with at least one sighting.
    before : float
        Threshold in use, and to return to.

    Returns
    -------
    LiveChange
        What was seen; blocks for at most :data:`WAIT_S` beside two requests.

    """
    last = monitor.sightings()[-1]
    asked_s = time.monotonic()
    monitor.set_detector_parameter(PARAMETER, HIGHER)
    answer_s = time.monotonic() - asked_s
    answered_ns = monitor.get_clock().now().nanoseconds

    def judged() -> list[Sighting]:
        return [seen for seen in monitor.sightings() if seen.stamp_ns > answered_ns]

    wait_for(lambda: len(judged()) >= PICTURES, WAIT_S)
    seen = judged()
    monitor.set_detector_parameter(PARAMETER, before)
    scores = [score for sighting in seen for score in sighting.scores]
    return LiveChange(
        parameter=PARAMETER,
        before=before,
        during=HIGHER,
        answer_ms=round(answer_s * 1e3, 3),
        pictures=len(seen),
        objects_before=len(last.names),
        objects_during=len(scores),
        obeyed=bool(seen) and all(score >= HIGHER for score in scores),
    )


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """
    Wait until something is so.

    Parameters
    ----------
    condition : callable
        Asked every 20 ms.
    timeout_s : float
        Longest wait.

    Returns
    -------
    bool
        What the condition said last.

    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True
