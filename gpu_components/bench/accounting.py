# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a probe comes to: pictures sent, the rate held, and losses by cause."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from gpu_components.bench.contenders import NODES
from gpu_components.bench.contenders import SOURCE_NODE
from gpu_components.bench.drops import drops_by_cause
from gpu_components.bench.drops import grown
from gpu_components.bench.probe import Playing

if TYPE_CHECKING:
    from gpu_components.bench.performance import Performance
    from gpu_components.bench.scenario import Scenario


def source_nodes(scenario: Scenario) -> list[str]:
    """
    Return the cameras that the container has of its own.

    Parameters
    ----------
    scenario : Scenario
        What runs.

    Returns
    -------
    list of str
        Fully qualified, in the order of the cameras.

    """
    return [f'{space}/{SOURCE_NODE}' for space in scenario.namespaces()]


def stamps_sent(
    scenario: Scenario,
    played: dict[str, Any],
    arrivals: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """
    Return what the cameras sent.

    Parameters
    ----------
    scenario : Scenario
        What runs.
    played : dict
        What the publisher told; empty if the container has cameras of its own.
    arrivals : dict
        Stamp and time of each result, by output topic.
    before : dict
        The container's counters by stage, before the probe.
    after : dict
        The same after it.

    Returns
    -------
    sent : dict
        Stamps in nanoseconds by camera topic.
    unseen : dict
        How many more were sent whose stamps nobody saw.

    """
    if played:
        return played['sent'], dict.fromkeys(played['sent'], 0)
    sent, unseen = {}, {}
    for image, source in zip(scenario.image_topics(), source_nodes(scenario), strict=True):
        mine = [topic for topic, camera in scenario.outputs().items() if camera == image]
        sent[image] = sorted({stamp for topic in mine for stamp, _ in arrivals[topic]})
        unseen[image] = grown(before, after, source).get('received', 0) - len(sent[image])
    return sent, unseen


def playing_of(
    rate_hz: float,
    played: dict[str, Any],
    sent: dict[str, list[int]],
    unseen: dict[str, int],
) -> Playing:
    """
    Return how well the cameras kept their rate.

    Parameters
    ----------
    rate_hz : float
        What was asked for.
    played : dict
        As for :func:`stamps_sent`.
    sent : dict
        As of :func:`stamps_sent`.
    unseen : dict
        As of :func:`stamps_sent`.

    Returns
    -------
    Playing
        By the publisher's own account, else by the stamps.

    """
    frames = sum(map(len, sent.values())) + sum(unseen.values())
    if played:
        late, worst_ms = played['late'], played['worst_late_ms']
        return Playing(rate_hz, played['achieved_hz'], frames, late, worst_ms)
    rates = [
        (len(stamps) + unseen[image] - 1) * 1e9 / (stamps[-1] - stamps[0])
        for image, stamps in sent.items()
        if len(stamps) > 1
    ]
    return Playing(rate_hz, min(rates, default=0.0), frames, 0, None)


def drops_of(
    scenario: Scenario,
    outputs: dict[str, Performance],
    before: dict[str, Any],
    after: dict[str, Any],
) -> dict[str, dict[str, int]]:
    """
    Return what was lost on the way to each output.

    Parameters
    ----------
    scenario : Scenario
        What runs.
    outputs : dict
        What arrived, by output topic.
    before : dict
        The container's counters by stage, before the probe.
    after : dict
        The same after it.

    Returns
    -------
    dict
        Pictures by cause, by output topic; empty for contenders that count nothing.

    """
    if scenario.contender != 'container':
        return {}
    drops = {}
    for topic, image in scenario.outputs().items():
        space, _, output = topic.rpartition('/')
        performance = outputs[topic]
        drops[topic] = drops_by_cause(
            before,
            after,
            image_topic=image if scenario.source == 'ros' else '',
            node=f'{space}/{NODES[output]}',
            sent=round(performance.metrics['NUM_FRAMES_SENT']),
            received=len(performance.latencies_ms),
        )
    return drops


def timings_of(stages: dict[str, Any]) -> dict[str, dict[str, float]]:
    """
    Return the container's own timings.

    Parameters
    ----------
    stages : dict
        Its diagnostics by stage.

    Returns
    -------
    dict
        Milliseconds by key, by stage.

    """
    return {
        stage: {k: float(v) for k, v in values.items() if k.endswith('_ms') and v != 'nan'}
        for stage, values in stages.items()
    }
