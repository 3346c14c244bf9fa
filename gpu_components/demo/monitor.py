# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS node that watches a detector from outside, as any other node on the robot would."""

from __future__ import annotations

from dataclasses import dataclass
import threading
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from gpu_runtime.errors import LifecycleError
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANSWER_S = 10.0
RECENT = 8
"""Annotated pictures that are held, for the caller to choose from."""


@dataclass(frozen=True)
class Sighting:
    """
    What one detection message said.

    Parameters
    ----------
    stamp_ns : int
        When the picture was taken.
    latency_s : float
        From then until the message was here.
    names : tuple of str
        Class of each object.
    scores : tuple of float
        Score of each object.

    """

    stamp_ns: int
    latency_s: float
    names: tuple[str, ...]
    scores: tuple[float, ...]


class Monitor(Node):
    """
    Collects detections and annotated pictures, and changes parameters of the detector.

    Parameters
    ----------
    detector : str
        Fully qualified name of the detector's node.

    """

    def __init__(self, detector: str) -> None:
        super().__init__('demo_monitor', use_global_arguments=False)
        self._lock = threading.Lock()
        self._sightings: list[Sighting] = []
        self._recent: dict[int, Any] = {}
        space = detector.rpartition('/')[0]
        self.create_subscription(
            Detection2DArray, f'{space}/object_detections', self._on_detections, 100
        )
        self.create_subscription(Image, f'{space}/detections_overlay', self._on_overlay, 10)
        self._parameters_client: Any = self.create_client(
            SetParameters, f'{detector}/set_parameters'
        )

    def _on_detections(self, message: Any) -> None:
        now_ns = self.get_clock().now().nanoseconds
        stamp_ns = _stamp_ns(message)
        best = [found.results[0].hypothesis for found in message.detections]
        sighting = Sighting(
            stamp_ns,
            (now_ns - stamp_ns) * 1e-9,
            tuple(str(hypothesis.class_id) for hypothesis in best),
            tuple(float(hypothesis.score) for hypothesis in best),
        )
        with self._lock:
            self._sightings.append(sighting)

    def _on_overlay(self, message: Any) -> None:
        with self._lock:
            self._recent[_stamp_ns(message)] = message
            while len(self._recent) > RECENT:
                del self._recent[min(self._recent)]

    def sightings(self) -> list[Sighting]:
        """Return what was received so far, oldest first."""
        with self._lock:
            return list(self._sightings)

    def picture(self) -> tuple[Sighting, NDArray[np.uint8]] | None:
        """
        Return the newest annotated picture that shows an object, with what was found on it.

        Returns
        -------
        tuple of Sighting and numpy.ndarray, or None
            uint8 (height, width, 3), BGR, owned by the caller; None if there was none lately.

        """
        with self._lock:
            for sighting in reversed(self._sightings[-RECENT:]):
                if sighting.names and sighting.stamp_ns in self._recent:
                    return sighting, _pixels(self._recent[sighting.stamp_ns])
        return None

    def set_detector_parameter(self, name: str, value: Any) -> None:
        """
        Change a parameter of the detector as ``ros2 param set`` does.

        Parameters
        ----------
        name : str
            Parameter name.
        value : object
            New value.

        Blocks until the detector has answered; not for the threads that spin.

        Raises
        ------
        LifecycleError
            If no answer came within :data:`ANSWER_S`.
        ParameterError
            If the detector refused the value.

        """
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        answered = threading.Event()
        if not self._parameters_client.wait_for_service(ANSWER_S):
            raise LifecycleError(f'{self._parameters_client.srv_name} is not there')
        future = self._parameters_client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_S):
            raise LifecycleError(f'{self._parameters_client.srv_name} did not answer')
        result = future.result().results[0]
        if not result.successful:
            raise ParameterError(f'{name} := {value!r} was refused: {result.reason}')


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def _pixels(message: Any) -> NDArray[np.uint8]:
    if message.encoding != 'bgr8':
        raise SourceError(f'annotated picture is {message.encoding}; expected bgr8')
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    shape = (message.height, message.width, 3)
    return rows[:, : message.width * 3].reshape(shape).copy()
