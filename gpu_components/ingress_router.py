# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Which topics come from ROS: those that components read and no component in the process publishes.

Called from control threads whenever a component joins or leaves the bus.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gpu_components.compressed_ingress import CompressedIngress
from gpu_components.image_ingress import ImageIngress
from gpu_components.topic_ingress import TopicIngress

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.executor import SubscriptionReader
    from gpu_components.ingress_need import IngressNeed
    from gpu_runtime.gpu_context import GpuContext


class IngressRouter:
    """
    Keeps exactly the ROS subscriptions that are needed now.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the subscriptions.
    reader : SubscriptionReader
        Reads them.
    context : GpuContext
        Its bus is compared with what is attached here.

    """

    def __init__(self, node: Node, reader: SubscriptionReader, context: GpuContext) -> None:
        self._node = node
        self._reader = reader
        self._context = context
        self._lock = threading.Lock()
        self._needs: dict[str, list[IngressNeed]] = {}
        self._open: dict[str, TopicIngress] = {}

    def attach(
        self, topic: str, need: IngressNeed, *, instead_of: IngressNeed | None = None
    ) -> None:
        """
        Ask for a topic to be on the bus.

        Parameters
        ----------
        topic : str
            Fully qualified topic.
        need : IngressNeed
            Given back with :meth:`detach`.
        instead_of : IngressNeed, optional
            A need of the same component that ends.

        """
        with self._lock:
            needs = self._needs.setdefault(topic, [])
            if instead_of in needs:
                needs.remove(instead_of)
            needs.append(need)
        self.refresh()

    def detach(self, topic: str, need: IngressNeed) -> None:
        """
        Take a need back.

        Parameters
        ----------
        topic : str
            As given to :meth:`attach`.
        need : IngressNeed
            As given to :meth:`attach`.

        """
        with self._lock:
            self._needs[topic].remove(need)
        self.refresh()

    def refresh(self) -> None:
        """Open and close subscriptions after a change in who reads or publishes what."""
        with self._lock:
            wanted = {
                topic: list(needs)
                for topic, needs in self._needs.items()
                if needs and self._context.bus.channel(topic).producer is None
            }
            for topic in list(self._open):
                if not self._open[topic].serves(wanted.get(topic, [])):
                    self._open.pop(topic).close()
            for topic, needs in wanted.items():
                if topic not in self._open:
                    self._open[topic] = self._opened(topic, needs)
                self._open[topic].needs = needs

    def _opened(self, topic: str, needs: list[IngressNeed]) -> TopicIngress:
        compressed = all(need.compressed for need in needs)
        kind = CompressedIngress if compressed else ImageIngress
        return kind(self._node, self._reader, topic, needs, self._context)

    def topics(self) -> list[str]:
        """Return the topics that are subscribed in ROS now."""
        with self._lock:
            return sorted(self._open)
