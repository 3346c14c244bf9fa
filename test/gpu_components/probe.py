# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A component whose every step a test can see and steer, and the host that runs it on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import threading
import time
from typing import Any

import numpy as np
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from spinning import wait_until

from gpu_components.component import Component
from gpu_components.component_node import ComponentNode
from gpu_components.component_parameters import ComponentParameters
from gpu_components.executor import log_and_continue
from gpu_components.executor import SubscriptionReader
from gpu_components.ingress_router import IngressRouter
from gpu_components.output import Output
from gpu_components.output import Results
from gpu_components.parameters import parameter
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.stage_snapshot import StageSnapshot
from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class ProbeParameters(ComponentParameters):
    """Parameters of :class:`Probe`."""

    gain: int = parameter(1, 'Something that applies at once.', ge=0, le=10)
    model: str = parameter('first', 'Something that has to be prepared.', prepares=True)


class Prepared:
    """What the probe prepares; counts how often it is closed."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.closed = 0

    def close(self) -> None:
        """Count; a model named so cannot be closed."""
        self.closed += 1
        if self.model == 'unclosable':
            raise RuntimeError('cannot be closed')


class Probe(Component[ProbeParameters, Prepared]):
    """Hands every picture on, and keeps what it saw."""

    parameters = ProbeParameters
    inputs = ('input_image',)
    outputs = (Output('echo', Image, bus=True),)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.prepares: list[Prepared] = []
        self.seen: list[tuple[int, ProbeParameters, Prepared]] = []
        self.faults: list[Exception] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def check(self, params: ProbeParameters) -> None:
        """Refuse one model by name."""
        if params.model == 'refused':
            raise ParameterError("model 'refused' is refused; expected another")

    def prepare(self, params: ProbeParameters) -> Prepared:
        """Fail on one model by name."""
        if params.model == 'broken':
            raise ModelError("model 'broken' cannot be loaded")
        self.prepares.append(Prepared(params.model))
        return self.prepares[-1]

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Hand the picture on, or raise the next fault."""
        self.entered.set()
        assert self.gate.wait(10.0)
        self.seen.append((frame.header.stamp_ns, self.params, self.prepared))
        if self.faults:
            raise self.faults.pop(0)
        return {'echo': frame}

    def stamps(self) -> list[int]:
        """Return the stamps of what was computed, in order."""
        return [stamp for stamp, _, _ in self.seen]


class Host:
    """The device manager, the router and the nodes of one test."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.gpu = GpuContext('cpu')
        self.ingress_node = Node('ingress', context=context)
        self.reader = SubscriptionReader(log_and_continue, context)
        self.router = IngressRouter(self.ingress_node, self.reader, self.gpu)
        self.nodes: list[ComponentNode] = []

    def load(
        self,
        cls: type[Component[Any, Any]],
        name: str = 'probe',
        *,
        remap: Sequence[str] = (),
        active: bool = True,
        **parameters: Any,
    ) -> Any:
        """Make a component's node, and activate it."""
        arguments = ['--ros-args', '-r', f'__node:={name}']
        for rule in remap:
            arguments += ['-r', rule]
        node = ComponentNode(
            cls,
            self.gpu,
            self.router,
            context=self.context,
            use_global_arguments=False,
            cli_args=arguments,
            parameter_overrides=[Parameter(k, value=v) for k, v in parameters.items()],
        )
        self.nodes.append(node)
        if active:
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def frame(self, stamp_ns: int, width: int = 8, height: int = 6, value: int = 7) -> Frame:
        """Return a grey picture."""
        layout = ImageFormat(width, height, 'bgr8', width * 3)
        data = np.full(layout.nbytes, value, np.uint8)
        return self.gpu.frame(Header(stamp_ns, 'camera_optical'), layout, data)

    def push(self, stamp_ns: int, topic: str = '/input_image') -> None:
        """Put a picture on the bus."""
        self.gpu.bus.channel(topic).publish(self.frame(stamp_ns))

    def metrics(self, name: str = '/probe') -> StageSnapshot:
        """Return the metrics of a stage."""
        return self.gpu.metrics.stage(name).snapshot()

    def count(self, counter: str, name: str = '/probe') -> int:
        """Return one counter of a stage."""
        return self.metrics(name).counts.get(counter, 0)

    def wait_count(self, counter: str, least: int, name: str = '/probe') -> None:
        """Wait for a counter."""
        assert wait_until(lambda: self.count(counter, name) >= least), (
            f'{counter} of {name} is not {least}: {self.metrics(name)}'
        )

    def close(self) -> list[str]:
        """Destroy everything and return what was not given back."""
        for node in self.nodes:
            node.close()
        assert self.reader.shutdown(10.0)
        self.ingress_node.destroy_node()
        return self.gpu.close()


def set_parameter(node: Any, name: str, value: Any) -> Any:
    """Set one parameter of a node of this process and return its SetParametersResult."""
    return node.set_parameters([Parameter(name, value=value)])[0]


class Listener:
    """A node that collects the messages of a topic, spun by an executor of the test."""

    def __init__(self, node: Node, kind: Any, topic: str, qos: Any = 10) -> None:
        self.messages: list[Any] = []
        self.node = node
        self.subscription = node.create_subscription(kind, topic, self.messages.append, qos)

    def wait(self, count: int, timeout_s: float = 5.0) -> list[Any]:
        """Wait for a number of messages."""
        assert wait_until(lambda: len(self.messages) >= count, timeout_s), self.messages
        return self.messages


def now_ns() -> int:
    """Return the time that stamps are measured in."""
    return time.time_ns()
