# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The lifecycle node around a component: parameters, threads, streams, publishers and errors.

Transitions run on the control plane, one at a time per node.  What the hooks do:

============  ========================================  =======================================
hook          success                                   failure
============  ========================================  =======================================
configure     prepared, stream leased, publishers made  logged; stays unconfigured, all released
activate      on the bus, threads run                   logged; stays inactive, off the bus
deactivate    off the bus, threads ended                does not fail
cleanup       everything released                       does not fail
============  ========================================  =======================================
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any
from typing import TYPE_CHECKING

from lifecycle_msgs.msg import State
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node

from gpu_components.component import close_prepared
from gpu_components.component import replace
from gpu_components.component_control import ComponentControl
from gpu_components.egress import Egress
from gpu_components.frame_inputs import FrameInputs
from gpu_components.frame_stage import FrameStage
from gpu_components.output_ports import OutputPorts
from gpu_components.parameter_changes import ParameterChanges
from gpu_components.parameter_store import ParameterStore
from gpu_components.sources.source import Source
from gpu_components.sources.source_stage import SourceStage
from gpu_components.stage import Stage
from gpu_components.stage import StageLinks
from gpu_runtime.errors import GpuPerceptionError

if TYPE_CHECKING:
    from gpu_components.component import Component
    from gpu_components.component_parameters import ComponentParameters
    from gpu_components.ingress_router import IngressRouter
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.stream import Stream

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


class _Destroyed:
    """Takes the place of a node's state machine, which would keep the node in the ROS graph."""

    initialized = False
    current_state = (State.PRIMARY_STATE_FINALIZED, 'finalized')

    def trigger_transition_by_label(self, label: str, publish: bool) -> None:
        """End a transition that was under way; nobody hears of it any more."""


class ComponentNode(LifecycleNodeMixin, Node):
    """
    Host of one component.

    Parameters
    ----------
    cls : type
        The component.
    gpu : GpuContext
        The shared device manager.
    router : IngressRouter
        Brings ROS topics onto the bus.
    **options
        Keyword arguments of ``rclpy.node.Node``.

    Raises
    ------
    GpuPerceptionError
        If a parameter is illegal or the component refuses it.

    """

    _state_machine: Any  # or what is left of it

    def __init__(
        self,
        cls: type[Component[Any, Any]],
        gpu: GpuContext,
        router: IngressRouter,
        **options: Any,
    ) -> None:
        Node.__init__(self, cls.default_name(), **options)
        # Of their own, so that a long transition delays neither get_state nor parameters.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self._gpu = gpu
        self._router = router
        self._transition = threading.RLock()
        self._closed = False
        self._ports: OutputPorts | None = None
        self._egress: Egress | None = None
        self._stream: Stream | None = None
        self._stage: Stage | None = None
        self._inputs: FrameInputs | None = None
        self.component = cls(gpu, self.get_logger(), self._wants)
        self.component.publish = self._publish
        self._changes = ParameterChanges(self.component, self._prepare)
        self._control = ComponentControl(self, self.component)
        try:
            self.store: ParameterStore[ComponentParameters] = ParameterStore(self, cls.parameters)
            self.component.check(self.store.current)
        except Exception:
            self.close()
            raise
        self.metrics = gpu.metrics.stage(self.get_fully_qualified_name())
        self.store.listen(self._accept, self._commit)

    def _wants(self, topic: str) -> bool:
        return self._ports is not None and self._ports.wants(topic)

    def _publish(self, topic: str, message: Any) -> None:
        ports = self._ports
        if ports is not None:
            ports[topic].publish(message)

    # -- parameters --------------------------------------------------------------------------

    def _accept(self, params: ComponentParameters, changed: frozenset[str]) -> None:
        """Refuse or prepare a change; frames go on with the old values meanwhile."""
        with self._transition:
            self._changes.accept(params, changed, configured=self._stream is not None)

    def _commit(self, params: ComponentParameters) -> None:
        with self._transition:
            staged = self._changes.take()
            self._control.apply(params)
            if self._inputs is not None:
                self._inputs.apply(params)
            if self._stage is not None:
                self._stage.swap(params, staged)
            elif self._stream is not None:
                replace(self.component, params, staged)

    def _prepare(self, params: ComponentParameters) -> Any:
        with self._account.use():
            return self.component.prepare(params)

    # -- lifecycle ---------------------------------------------------------------------------

    def autostart(self) -> None:
        """Configure and activate, as ``autostart`` asks; failures are logged and counted."""
        with self._transition:
            if not self._closed and self.trigger_configure() == SUCCESS:
                self.trigger_activate()

    def _attempt(
        self, what: str, work: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        try:
            work()
        except Exception as error:
            undo()
            text = str(error) if isinstance(error, GpuPerceptionError) else repr(error)
            self.metrics.fail(what, f'{what} failed: {text}')
            self.get_logger().error(f'{what} failed: {text}')
            return FAILURE
        return SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Prepare the component and make its publishers; blocks until it is prepared."""
        with self._transition:
            return self._attempt('configure', self._configure, self._release)

    def _configure(self) -> None:
        name = self.get_fully_qualified_name()
        params = self.store.current
        self._account = self._gpu.budget.open(name)
        self._stream = self._gpu.streams.lease(name, priority=params.stream_priority)
        self.component.params = params
        self.component.prepared = self._prepare(params)
        self._ports = OutputPorts(
            self,
            self.component.outputs,
            self._gpu.bus,
            lambda: str(self.store.current.publish),
            self.component.cameras(params),
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Connect to the bus and start the threads."""
        with self._transition:
            return self._attempt('activate', self._activate, self._deactivate)

    def _activate(self) -> None:
        assert self._ports is not None and self._stream is not None
        name = self.get_fully_qualified_name()
        self._ports.advertise()
        self._egress = Egress(name, self._ports, self._gpu, self.metrics, self.get_logger())
        links = StageLinks(
            self.component,
            self._stream,
            self._account,
            self._ports,
            self._egress,
            self.metrics,
            lambda: int(self.get_clock().now().nanoseconds),
        )
        if isinstance(self.component, Source):
            self._stage = SourceStage(links, name)
        else:
            self._inputs = FrameInputs(
                self,
                self.component,
                self.store,
                gpu=self._gpu,
                router=self._router,
                ports=self._ports,
            )
            self._inputs.apply(self.store.current)
            self._stage = FrameStage(links, self._inputs.group, name)
        self._control.activate()
        self._router.refresh()  # first: what it publishes must not come in again from ROS
        self._stage.start()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the bus and end the threads; results in flight are published."""
        with self._transition:
            self._deactivate()
            return SUCCESS

    def _deactivate(self) -> None:
        self._control.deactivate()
        inputs, self._inputs = self._inputs, None
        if inputs is not None:
            inputs.close()
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.stop()
        egress, self._egress = self._egress, None
        if egress is not None:
            egress.stop()
        if self._ports is not None:
            self._ports.withdraw()
        self._router.refresh()

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything that configure made."""
        with self._transition:
            self._release()
            return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release, from any state."""
        with self._transition:
            self._deactivate()
            self._release()
            return SUCCESS

    def _release(self) -> None:
        ports, self._ports = self._ports, None
        if ports is not None:
            ports.close()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            try:
                self._changes.discard()
                close_prepared(vars(self.component).pop('prepared', None))
            finally:
                self._gpu.streams.release(stream)
                self._gpu.budget.close_account(self._account)

    def close(self) -> None:
        """Stop, release and destroy the node; blocks until its threads have ended."""
        with self._transition:
            self._deactivate()
            self._release()
            self._closed = True
            self.destroy_node()

    def destroy_node(self) -> None:
        """Destroy the node, and its lifecycle, which rclpy leaves to the garbage collector."""
        super().destroy_node()
        self._state_machine = _Destroyed()

    @property
    def state(self) -> str:
        """Label of the lifecycle state, e.g. ``active``."""
        return str(self._state_machine.current_state[1])
