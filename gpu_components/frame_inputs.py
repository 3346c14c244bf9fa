# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What an active component reads: its queues on the bus, and the ROS topics that fill them."""

from __future__ import annotations

from dataclasses import dataclass
import threading
from typing import Any
from typing import TYPE_CHECKING

from gpu_components.camera_topics import topic_of
from gpu_components.ingress_need import IngressNeed
from gpu_runtime.overflow import Overflow
from gpu_runtime.subscription_group import SubscriptionGroup

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.component import Component
    from gpu_components.component_parameters import ComponentParameters
    from gpu_components.ingress_router import IngressRouter
    from gpu_components.output_ports import OutputPorts
    from gpu_components.parameter_store import ParameterStore
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.subscription import Subscription


@dataclass
class _Input:
    """One camera's queue, and what it asks of ROS; None if only components publish it."""

    subscription: Subscription[Any]
    need: IngressNeed | None


class FrameInputs:
    """
    Queues and ROS topics of one component, one per camera.

    The queues are there once it is made; :meth:`apply` asks for the topics, and what it leaves
    half done :meth:`close` undoes.

    Parameters
    ----------
    node : rclpy.node.Node
        Resolves the names of the topics.
    component : Component
        Says what it reads.
    store : ParameterStore
        Its parameters.
    gpu : GpuContext
        Has the bus, and counts what is lost.
    router : IngressRouter
        Brings ROS topics onto the bus.
    ports : OutputPorts
        A camera's pictures are wanted while one of its results is.

    """

    def __init__(
        self,
        node: Node,
        component: Component[Any, Any],
        store: ParameterStore[ComponentParameters],
        *,
        gpu: GpuContext,
        router: IngressRouter,
        ports: OutputPorts,
    ) -> None:
        self._node = node
        self._store = store
        self._gpu = gpu
        self._router = router
        params = store.current
        name = component.input_topic(params)
        self._from_ros = name not in component.bus_inputs
        self._changed = threading.Condition()
        self._inputs = [
            self._subscribe(topic_of(camera, name), camera, ports)
            for camera in component.cameras(params)
        ]
        self.group: SubscriptionGroup[Any] = SubscriptionGroup(
            tuple(each.subscription for each in self._inputs), self._changed
        )

    def _subscribe(self, topic: str, camera: str, ports: OutputPorts) -> _Input:
        params, name = self._store.current, self._node.get_fully_qualified_name()
        counter = f'dropped_overflow_{camera}' if camera else 'dropped_overflow'
        subscription = self._gpu.bus.subscribe(
            self._node.resolve_topic_name(topic),
            name,
            depth=params.input_depth,
            overflow=Overflow(params.input_overflow),
            wanted=lambda: ports.wants_any(camera),
            on_drop=lambda: self._gpu.metrics.stage(name).count(counter),
            changed=self._changed,
        )
        return _Input(subscription, None)

    def apply(self, params: ComponentParameters) -> None:
        """
        Ask for the ROS topics, and follow parameters from the next frame on.

        Parameters
        ----------
        params : ComponentParameters
            Of the component.

        """
        for each in self._inputs:
            each.subscription.depth = params.input_depth
            each.subscription.overflow = Overflow(params.input_overflow)
            if self._from_ros and (each.need is None or each.need.depth != params.input_depth):
                self._attach(each, params)

    def _attach(self, each: _Input, params: ComponentParameters) -> None:
        """Ask for a ROS topic; a second call asks for it with other parameters."""
        before = each.need
        each.need = IngressNeed(
            params.input_reliability == 'reliable',
            params.input_depth,
            lambda: float(self._store.current.max_age_ms),
            params.input_transport == 'compressed',
        )
        self._router.attach(each.subscription.topic, each.need, instead_of=before)

    def close(self) -> None:
        """Leave the bus and the ROS topics."""
        for each in self._inputs:
            self._gpu.bus.unsubscribe(each.subscription)
            if each.need is not None:
                self._router.detach(each.subscription.topic, each.need)
        self._inputs = []
