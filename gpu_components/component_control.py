# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a component has on the control plane: services, a timer and its camera's calibration."""

from __future__ import annotations

from typing import Any
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import Trigger

from gpu_components.camera_info import CameraInfoInput

if TYPE_CHECKING:
    from rclpy.node import Node

    from gpu_components.component import Component
    from gpu_components.component_parameters import ComponentParameters


class ComponentControl:
    """
    Entities of one component that are not part of the picture path.

    Parameters
    ----------
    node : rclpy.node.Node
        Gets the entities.
    component : Component
        Whose methods they call.

    """

    def __init__(self, node: Node, component: Component[Any, Any]) -> None:
        self._node = node
        self._component = component
        self._group = MutuallyExclusiveCallbackGroup()
        self._timer: Any = None
        self._camera_info: CameraInfoInput | None = None
        for name, method in component.services.items():
            self._serve(name, getattr(component, method))

    def _serve(self, name: str, method: Any) -> None:
        def answer(_request: Any, response: Any) -> Any:
            response.success, response.message = method()
            return response

        self._node.create_service(Trigger, f'~/{name}', answer, callback_group=self._group)

    def activate(self) -> None:
        """Start the timer and listen to the camera's calibration."""
        period_s = self._component.timer_period_s(self._component.params)
        if period_s > 0.0:
            self._timer = self._node.create_timer(
                period_s, self._component.on_timer, callback_group=self._group
            )
        if self._component.camera_info:
            self._camera_info = CameraInfoInput(self._node, self._component.camera_info)
            self._component.calibration = self._camera_info.at

    def apply(self, params: ComponentParameters) -> None:
        """
        Follow parameters while active.

        Parameters
        ----------
        params : ComponentParameters
            Of the component.

        """
        timer = self._timer
        if timer is None:
            return
        period_ns = round(self._component.timer_period_s(params) * 1e9)
        if period_ns != timer.timer_period_ns:
            timer.timer_period_ns = period_ns
            timer.reset()  # else the old period ends first

    def deactivate(self) -> None:
        """Stop the timer and the calibration; a second call does nothing."""
        timer, self._timer = self._timer, None
        if timer is not None:
            self._node.destroy_timer(timer)
        camera_info, self._camera_info = self._camera_info, None
        if camera_info is not None:
            camera_info.close()
