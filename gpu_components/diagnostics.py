# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The state of every component and ingress on ``/diagnostics``, once a second."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue

from gpu_runtime.engines.engine_builds import NOTE

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.component_node import ComponentNode
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.stage_snapshot import StageSnapshot

PERIOD_S = 1.0


class Diagnostics:
    """
    Publisher of the container's diagnostics.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the publisher and its timer.
    context : GpuContext
        Whose metrics are told.
    components : callable
        Returns the loaded components by id.

    """

    def __init__(
        self, node: Node, context: GpuContext, components: Callable[[], dict[int, ComponentNode]]
    ) -> None:
        self._node = node
        self._context = context
        self._components = components
        self._before: Mapping[str, StageSnapshot] = {}
        self._before_s = 0.0
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._timer = node.create_timer(PERIOD_S, self.publish)

    def publish(self) -> None:
        """Publish one array, if anybody listens."""
        if self._publisher.get_subscription_count() == 0:
            self._before = {}  # what happens meanwhile says nothing about the next second
            return
        now_s = time.monotonic()
        stages = self._context.metrics.snapshot()
        nodes = {n.get_fully_qualified_name(): n for n in self._components().values()}
        status = [
            self._status(name, stages[name], nodes.get(name), now_s) for name in sorted(stages)
        ]
        message = DiagnosticArray(status=status)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self._before, self._before_s = stages, now_s

    def _status(
        self, name: str, stage: StageSnapshot, node: ComponentNode | None, now_s: float
    ) -> DiagnosticStatus:
        before = self._before.get(name)
        rates = _rates(stage, before, now_s - self._before_s)
        expected = 0.0
        if node is not None:
            params = node.store.current
            expected = params.expected_frequency_hz
            rates |= {'expected_frequency': expected, 'tolerance': params.frequency_tolerance}
            expected *= 1.0 - params.frequency_tolerance
        slow = before is not None and rates['frame_rate_node'] < expected
        level, text = _verdict(stage, before, node.state if node else 'active', slow)
        values = {
            **{key: f'{value:.2f}' for key, value in rates.items()},
            'last_error': stage.error,
            **{name: str(count) for name, count in stage.counts.items()},
            **_milliseconds(stage),
            **stage.notes,
        }
        return DiagnosticStatus(
            level=level,
            name=f'{self._node.get_name()}: {name}',
            message=text,
            hardware_id=self._context.device_name,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _verdict(
    stage: StageSnapshot, before: StageSnapshot | None, state: str, slow: bool
) -> tuple[bytes, str]:
    """Return level and text, of what weighs most: down, drops, a low rate, no engine."""
    if state != 'active':
        level = DiagnosticStatus.ERROR if stage.error else DiagnosticStatus.WARN
        return level, stage.error or state
    if stage.dropped > (before.dropped if before else 0):
        return DiagnosticStatus.WARN, stage.error or 'frames dropped'
    if slow:
        return DiagnosticStatus.WARN, 'fewer results than expected'
    engine = stage.notes.get(NOTE, '')
    if 'failed: ' in engine:
        return DiagnosticStatus.WARN, f'engine {engine}'
    return DiagnosticStatus.OK, state


def _rates(
    stage: StageSnapshot, before: StageSnapshot | None, elapsed_s: float
) -> dict[str, float]:
    """Return results per second, by this process's clock and by the pictures' stamps."""
    if before is None:
        return {'frame_rate_node': 0.0, 'frame_rate_msg': 0.0}
    done = stage.counts.get('processed', 0) - before.counts.get('processed', 0)
    between_s = (stage.stamp_ns - before.stamp_ns) * 1e-9
    by_stamp = done / between_s if before.stamp_ns and between_s > 0.0 else 0.0
    return {'frame_rate_node': done / elapsed_s, 'frame_rate_msg': by_stamp}


def _milliseconds(stage: StageSnapshot) -> dict[str, str]:
    """Return medians and tails in milliseconds, by key."""
    values = {}
    for name, timing in stage.timings.items():
        values[f'{name}_p50_ms'] = f'{timing.p50_s * 1e3:.3f}'
        values[f'{name}_p99_ms'] = f'{timing.p99_s * 1e3:.3f}'
    if 'latency' in stage.timings:
        values['current_delay_from_realtime_ms'] = values['latency_p50_ms']
    return values
