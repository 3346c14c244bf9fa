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
        states = {n.get_fully_qualified_name(): n.state for n in self._components().values()}
        message = DiagnosticArray(
            status=[
                self._status(name, stages[name], states.get(name, 'active'), now_s)
                for name in sorted(stages)
            ]
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self._before, self._before_s = stages, now_s

    def _status(
        self, name: str, stage: StageSnapshot, state: str, now_s: float
    ) -> DiagnosticStatus:
        before = self._before.get(name)
        failed = stage.dropped > (before.dropped if before else 0)
        level, text = DiagnosticStatus.OK, state
        if state != 'active':
            level = DiagnosticStatus.ERROR if stage.error else DiagnosticStatus.WARN
            text = stage.error or state
        elif failed:
            level, text = DiagnosticStatus.WARN, stage.error or 'frames dropped'
        processed = stage.counts.get('processed', 0)
        earlier = before.counts.get('processed', 0) if before else processed
        values = {
            'frame_rate_node': f'{(processed - earlier) / (now_s - self._before_s):.1f}',
            'last_error': stage.error,
            **{name: str(count) for name, count in stage.counts.items()},
            **_milliseconds(stage),
        }
        return DiagnosticStatus(
            level=level,
            name=f'{self._node.get_name()}: {name}',
            message=text,
            hardware_id=self._context.device_name,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _milliseconds(stage: StageSnapshot) -> dict[str, str]:
    """Return medians and tails in milliseconds, by key."""
    values = {}
    for name, timing in stage.timings.items():
        values[f'{name}_p50_ms'] = f'{timing.p50_s * 1e3:.3f}'
        values[f'{name}_p99_ms'] = f'{timing.p99_s * 1e3:.3f}'
    if 'latency' in stage.timings:
        values['current_delay_from_realtime_ms'] = values['latency_p50_ms']
    return values
