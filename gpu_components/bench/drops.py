# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Where pictures were lost in the container, by the counters in its diagnostics.

For each output the sum closes: sent is received plus the losses by cause. What it does not
explain is told as ``unexplained``, negative if something was counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping

Stages = Mapping[str, Mapping[str, str]]


def grown(before: Stages, after: Stages, stage: str) -> dict[str, int]:
    """
    Return how much a stage's counters have grown.

    Parameters
    ----------
    before : Mapping
        Values by stage, as the monitor has them.
    after : Mapping
        The same, later.
    stage : str
        Name in the diagnostics.

    Returns
    -------
    dict of str to int
        By name; only whole numbers, only what grew.

    """
    then, now = before.get(stage, {}), after.get(stage, {})
    counters = {name: int(value) for name, value in now.items() if value.isdecimal()}
    growth = {name: value - int(then.get(name, '0')) for name, value in counters.items()}
    return {name: value for name, value in growth.items() if value > 0}


def drops_by_cause(
    before: Stages, after: Stages, *, image_topic: str, node: str, sent: int, received: int
) -> dict[str, int]:
    """
    Explain what one output of the container lost.

    Parameters
    ----------
    before : Mapping
        Diagnostics when nothing was under way, before the probe.
    after : Mapping
        Diagnostics when nothing was under way any more.
    image_topic : str
        The camera's topic.
    node : str
        The component that publishes the output.
    sent : int
        Pictures of the camera.
    received : int
        Of them, how many were answered.

    Returns
    -------
    dict of str to int
        Lost pictures by cause, zeros left out: ``transport_in`` and ``transport_out`` are those
        that the middleware did not deliver, others as the ingress and the stage name them.

    """
    ingress = grown(before, after, f'ingress {image_topic}')
    stage = grown(before, after, node)
    causes = {}
    if ingress or f'ingress {image_topic}' in after:
        causes['transport_in'] = sent - ingress.get('received', 0)
        causes['ingress_unwanted'] = ingress.get('unwanted', 0)
        for name, count in ingress.items():
            if name.startswith('dropped_'):
                causes[f'ingress_{name.removeprefix("dropped_")}'] = count
    for name, count in stage.items():
        if name.startswith('dropped_'):
            causes[f'stage_{name.removeprefix("dropped_")}'] = count
    causes['transport_out'] = stage.get('processed', 0) - received
    causes['unexplained'] = sent - received - sum(causes.values())
    return {name: count for name, count in causes.items() if count}
