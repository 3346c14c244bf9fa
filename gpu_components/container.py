# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The component container: one process, one device context, components by service request.

Serves ``~/_container/load_node``, ``unload_node`` and ``list_nodes``, so that ``ros2 component``
and launch_ros drive it like the C++ one.  Requests are answered at once: a component is checked
while the request waits, and prepared on a thread of its own afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
import difflib
from pathlib import Path
import threading
import traceback
from typing import Any
from typing import TYPE_CHECKING

from composition_interfaces.srv import ListNodes
from composition_interfaces.srv import LoadNode
from composition_interfaces.srv import UnloadNode
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.exceptions import InvalidParameterValueException
import rclpy.logging
from rclpy.node import Node
from std_srvs.srv import Trigger
import torch

from gpu_components.component_node import ComponentNode
from gpu_components.container_parameters import ContainerParameters
from gpu_components.diagnostics import Diagnostics
from gpu_components.ingress_router import IngressRouter
from gpu_components.load_request import node_options
from gpu_components.manifest import manifest_entry
from gpu_components.manifest import save_manifest
from gpu_components.parameter_store import ParameterStore
from gpu_components.plugins import load_plugin
from gpu_components.resources import resolve_path
from gpu_runtime.engines import default_folder
from gpu_runtime.engines import EngineStore
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.errors import WiringError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.preload import preload

if TYPE_CHECKING:
    from gpu_components.executor import PlaneExecutor

preload()  # before components import parts of it on threads of their own


class Container(Node):
    """
    Host of all components of a process.

    Parameters
    ----------
    executor : PlaneExecutor
        Spins the container and every component, and reads the images.
    on_lost : callable
        Called once with the error when the CUDA context is lost; nothing can be saved then,
        so it should end the process for launch to start it anew.
    **options
        Keyword arguments of ``rclpy.node.Node``.

    Raises
    ------
    GpuPerceptionError
        If a parameter is illegal or the device is not there.

    """

    def __init__(
        self,
        executor: PlaneExecutor,
        *,
        on_lost: Callable[[BaseException], None] = lambda error: None,
        **options: Any,
    ) -> None:
        super().__init__('gpu_container', **options)
        self._plane_executor = executor
        self._components_lock = threading.RLock()
        self._next_id = 1
        self._components: dict[int, ComponentNode] = {}
        self._requests: dict[int, LoadNode.Request] = {}
        self._params = ParameterStore(self, ContainerParameters).current
        if self._params.torch_threads > 0:
            torch.set_num_threads(self._params.torch_threads)
        self.gpu = GpuContext(
            self._params.device,
            allow_unsafe_models=self._params.allow_unsafe_models,
            on_lost=on_lost,
            engine_store=self._engine_store(),
            completion_threads=self._params.egress_threads,
        )
        self._ingress_node = Node(
            f'_{self.get_name()}_ingress',
            namespace=self.get_namespace(),
            context=self.context,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        self.router = IngressRouter(self._ingress_node, executor.reader, self.gpu)
        self._serve()
        self._diagnostics = Diagnostics(self, self.gpu, self.components)
        executor.add_node(self)
        executor.add_node(self._ingress_node)
        self.get_logger().info(f'ready on {self.gpu.device} ({self.gpu.device_name})')

    def _engine_store(self) -> EngineStore | None:
        limit_mb, folder = self._params.engine_store_mb, self._params.engine_store
        if limit_mb == 0:
            return None
        return EngineStore(Path(resolve_path(folder)) if folder else default_folder(), limit_mb)

    def _serve(self) -> None:
        group = MutuallyExclusiveCallbackGroup()
        for kind, name, answer in (
            (LoadNode, 'load_node', self._on_load),
            (UnloadNode, 'unload_node', self._on_unload),
            (ListNodes, 'list_nodes', self._on_list),
        ):
            self.create_service(kind, f'~/_container/{name}', answer, callback_group=group)
        self.create_service(Trigger, '~/save', self._on_save, callback_group=group)

    def components(self) -> dict[int, ComponentNode]:
        """Return the loaded components by their id."""
        with self._components_lock:
            return dict(self._components)

    def load(self, request: LoadNode.Request) -> LoadNode.Response:
        """
        Load a component; launch, services and pipeline files all come through here.

        Parameters
        ----------
        request : composition_interfaces.srv.LoadNode.Request
            As defined by composition_interfaces.

        Returns
        -------
        composition_interfaces.srv.LoadNode.Response
            Never raises: a failure is told in ``error_message``.  Does not wait for the
            component to be prepared.

        """
        try:
            unique_id, node = self._load(request)
        except (
            GpuPerceptionError,
            InvalidParameterTypeException,
            InvalidParameterValueException,
        ) as error:
            return self._refused(request, str(error))
        except Exception as error:
            self.get_logger().debug(traceback.format_exc())
            return self._refused(request, repr(error))
        name = node.get_fully_qualified_name()
        self.get_logger().info(f'loaded {request.plugin_name} as {name} with id {unique_id}')
        return LoadNode.Response(success=True, full_node_name=name, unique_id=unique_id)

    def _refused(self, request: LoadNode.Request, reason: str) -> LoadNode.Response:
        message = f'{request.plugin_name or "empty plugin name"} not loaded: {reason}'
        self.get_logger().error(message)
        return LoadNode.Response(success=False, error_message=message)

    def _load(self, request: LoadNode.Request) -> tuple[int, ComponentNode]:
        cls = load_plugin(
            request.package_name,
            request.plugin_name,
            allow_module_plugins=self._params.allow_module_plugins,
        )
        options = node_options(request)
        node = ComponentNode(cls, self.gpu, self.router, context=self.context, **options)
        self._require_new_name(node)
        if request.log_level:
            rclpy.logging.set_logger_level(node.get_logger().name, request.log_level)
        self._warn_of_unknown_parameters(node, request)
        with self._components_lock:
            unique_id, self._next_id = self._next_id, self._next_id + 1
            self._components[unique_id] = node
            self._requests[unique_id] = request
        self._plane_executor.add_node(node)
        if node.store.current.autostart:
            self._autostart(node)
        return unique_id, node

    def _require_new_name(self, node: ComponentNode) -> None:
        name = node.get_fully_qualified_name()
        for unique_id, other in self.components().items():
            if other.get_fully_qualified_name() == name:
                node.close()
                raise WiringError(
                    f'{name} is loaded already, with id {unique_id}; give one of them another '
                    'node name or namespace'
                )

    def _warn_of_unknown_parameters(self, node: ComponentNode, request: LoadNode.Request) -> None:
        """Say which parameters nobody reads; shared files make them legal, typing makes them."""
        declared = list(node._parameters)
        for message in request.parameters:
            if message.name in declared or message.name.startswith('qos_overrides.'):
                continue
            close = difflib.get_close_matches(message.name, declared, 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            node.get_logger().warning(f'unknown parameter {message.name} ignored{hint}')

    def _autostart(self, node: ComponentNode) -> None:
        name = f'start {node.get_fully_qualified_name()}'
        threading.Thread(target=node.autostart, name=name, daemon=True).start()

    def unload(self, unique_id: int) -> UnloadNode.Response:
        """
        Unload a component and return its memory.

        Parameters
        ----------
        unique_id : int
            As given at load; never used again.

        Returns
        -------
        composition_interfaces.srv.UnloadNode.Response
            Never raises.  Blocks until the component's threads have ended.

        """
        with self._components_lock:
            node = self._components.pop(unique_id, None)
            self._requests.pop(unique_id, None)
            known = sorted(self._components)
        if node is None:
            message = f'no component has the id {unique_id}; loaded are {known}'
            self.get_logger().warning(message)
            return UnloadNode.Response(success=False, error_message=message)
        name = node.get_fully_qualified_name()
        self._plane_executor.remove_node(node)
        try:
            node.close()
        except Exception as error:
            self.get_logger().error(f'unloading {name}: {traceback.format_exc()}')
            return UnloadNode.Response(success=False, error_message=f'{name}: {error!r}')
        self.gpu.metrics.forget(name)
        self.get_logger().info(f'unloaded {name}')
        return UnloadNode.Response(success=True)

    def _on_load(self, request: LoadNode.Request, _: Any) -> LoadNode.Response:
        return self.load(request)

    def _on_unload(self, request: UnloadNode.Request, _: Any) -> UnloadNode.Response:
        return self.unload(request.unique_id)

    def _on_list(self, _: Any, response: ListNodes.Response) -> ListNodes.Response:
        loaded = self.components()
        response.unique_ids = list(loaded)
        response.full_node_names = [n.get_fully_qualified_name() for n in loaded.values()]
        return response

    def _on_save(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        if not self._params.manifest:
            response.message = 'set the parameter manifest to a file when the container starts'
            return response
        with self._components_lock:
            loaded = [(self._requests[i], node) for i, node in self._components.items()]
        try:
            save_manifest(self._params.manifest, [manifest_entry(*pair) for pair in loaded])
        except OSError as error:
            response.message = f'{self._params.manifest} cannot be written: {error}'
            return response
        response.success = True
        response.message = f'{len(loaded)} components saved in {self._params.manifest}'
        return response

    def close(self) -> list[str]:
        """Unload everything, destroy the nodes and close the device; return what leaked."""
        for unique_id in reversed(self.components()):
            self.unload(unique_id)
        for node in (self._ingress_node, self):
            self._plane_executor.remove_node(node)
            node.destroy_node()
        self._plane_executor.reader.settle(1.0)  # a picture may be on its way to the device
        return self.gpu.close()
