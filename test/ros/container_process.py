# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A real container in a process of its own, and the ROS client that talks to it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from composition_interfaces.srv import ListNodes
from composition_interfaces.srv import LoadNode
from composition_interfaces.srv import UnloadNode
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState
import numpy as np
from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

CONTAINER = '/gpu_container/_container'
TIMEOUT_S = 60.0
START_S = 180.0
"""A container imports torch before it serves; on a busy machine that takes its time."""
DEVICE = os.environ.get('GPU_PERCEPTION_TEST_DEVICE', 'cpu')
CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}


def picture_message(
    pixels: np.ndarray[Any, Any], encoding: str, *, stamp_ns: int, padding: int = 0
) -> Image:
    """Return an image message; ``padding`` bytes of 0xAB follow each row, of chroma too."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    if encoding in ('nv12', 'nv21'):
        height = height * 2 // 3
    message = Image(height=height, width=width, encoding=encoding, step=data.shape[1])
    message._data = np.ascontiguousarray(data).reshape(-1)
    message.header.frame_id = 'camera_optical'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    return message


def stamp_of(message: Any) -> int:
    """Return a message's stamp in nanoseconds."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


class RosClient:
    """A node of the test process, spun on its own thread."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        self.context.init()
        self.node = Node('test_client', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._clients: dict[str, Any] = {}

    def _spin(self) -> None:
        with suppress(rclpy.executors.ExternalShutdownException):
            self.executor.spin()

    def close(self) -> None:
        """Stop spinning and destroy the node."""
        self.executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        self.context.try_shutdown()

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        """Call a service and return its response."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_sec=START_S), f'no service {name}'
        future = client.call_async(request)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout_s), f'{name} did not answer in {timeout_s} s'
        return future.result()

    def load(self, plugin: str, **request: Any) -> Any:
        """Load a component; ``parameters`` and ``extra_arguments`` are mappings."""
        for key in ('parameters', 'extra_arguments'):
            values = request.get(key, {})
            request[key] = [Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
        message = LoadNode.Request(package_name='gpu_perception', plugin_name=plugin, **request)
        return self.call(LoadNode, f'{CONTAINER}/load_node', message)

    def unload(self, unique_id: int) -> Any:
        """Unload a component."""
        request = UnloadNode.Request(unique_id=unique_id)
        return self.call(UnloadNode, f'{CONTAINER}/unload_node', request)

    def loaded(self) -> dict[int, str]:
        """Return what list_nodes tells."""
        answer = self.call(ListNodes, f'{CONTAINER}/list_nodes', ListNodes.Request())
        return dict(zip(answer.unique_ids, answer.full_node_names, strict=True))

    def set_parameter(self, node: str, name: str, value: Any) -> Any:
        """Set one parameter and return its SetParametersResult."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, f'{node}/set_parameters', request).results[0]

    def get_parameter(self, node: str, name: str) -> Any:
        """Return one parameter's value."""
        request = GetParameters.Request(names=[name])
        answer = self.call(GetParameters, f'{node}/get_parameters', request)
        return rclpy.parameter.parameter_value_to_python(answer.values[0])

    def state(self, node: str) -> str:
        """Return the lifecycle state's label."""
        answer = self.call(GetState, f'{node}/get_state', GetState.Request())
        return str(answer.current_state.label)

    def change_state(self, node: str, transition: int) -> bool:
        """Ask for a lifecycle transition and return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        return bool(self.call(ChangeState, f'{node}/change_state', request).success)

    def wait_state(self, node: str, label: str, timeout_s: float = START_S) -> None:
        """Wait until a node is in a lifecycle state."""
        wait_until(lambda: self.state(node) == label, f'{node} is not {label}', timeout_s)


def wait_until(
    condition: Callable[[], bool], complaint: str, timeout_s: float = TIMEOUT_S
) -> None:
    """Poll a condition; fail with a complaint when time is up."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f'{complaint} after {timeout_s} s'
        time.sleep(0.02)


class Camera:
    """A publisher of pictures and a collector of the detections that answer them."""

    def __init__(self, client: RosClient, image_topic: str, detections_topic: str) -> None:
        self._client = client
        self._answers: dict[int, Detection2DArray] = {}
        self._arrived = threading.Condition()
        node = client.node
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = node.create_publisher(Image, image_topic, reliable)
        self._subscription = node.create_subscription(
            Detection2DArray, detections_topic, self._collect, reliable
        )
        self._stamp = time.time_ns()

    def connect(self) -> None:
        """Wait until both directions are matched."""
        wait_until(lambda: self._publisher.get_subscription_count() > 0, 'nobody takes pictures')
        topic = self._subscription.topic_name
        wait_until(lambda: self._client.node.count_publishers(topic) > 0, f'no one on {topic}')
        time.sleep(0.5)  # the detector's side learns of our subscription a little later

    def _collect(self, message: Detection2DArray) -> None:
        with self._arrived:
            self._answers[stamp_of(message)] = message
            self._arrived.notify_all()

    def publish(self, pixels: np.ndarray[Any, Any], encoding: str, padding: int = 0) -> int:
        """Publish a picture and return its stamp."""
        self._stamp += 1_000_000
        message = picture_message(pixels, encoding, stamp_ns=self._stamp, padding=padding)
        self._publisher.publish(message)
        return self._stamp

    def publish_message(self, message: Image) -> None:
        """Publish any image message."""
        self._publisher.publish(message)

    def answer(self, stamp: int, timeout_s: float = TIMEOUT_S) -> Detection2DArray:
        """Wait for the detections of a picture."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: stamp in self._answers, timeout_s), (
                f'no detections for the picture of {stamp} after {timeout_s} s'
            )
            return self._answers[stamp]

    def detect(
        self, pixels: np.ndarray[Any, Any], encoding: str = 'bgr8', padding: int = 0
    ) -> Detection2DArray:
        """Publish a picture and wait for its detections."""
        return self.answer(self.publish(pixels, encoding, padding))


def boxes_of(message: Detection2DArray) -> list[tuple[str, float, np.ndarray[Any, Any]]]:
    """Return class, score and xyxy box of each detection, in the order of the message."""
    rows = []
    for detection in message.detections:
        box, best = detection.bbox, detection.results[0].hypothesis
        half = np.array([box.size_x, box.size_y]) / 2
        centre = np.array([box.center.position.x, box.center.position.y])
        rows.append((best.class_id, best.score, np.concatenate((centre - half, centre + half))))
    return rows


def end(process: subprocess.Popen[bytes]) -> int:
    """End a process as Ctrl-C does and return its exit code; show where it hangs if it does."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=20.0)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler prints the stack of every thread
        process.wait(timeout=20.0)
        raise


@contextmanager
def running_container(
    tmp_path: Path, *ros_parameters: str, load: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``gpu_container``, wait for nothing, and end it with SIGINT."""
    command = [sys.executable, '-m', 'gpu_components.gpu_container']
    command += ['--load', str(load)] if load else []
    command += ['--ros-args', '-p', 'torch_threads:=2']
    store = f'engine_store:={tmp_path / "engines"}'  # not the user's own
    for parameter in (f'device:={DEVICE}', store, *ros_parameters):
        command += ['-p', parameter]
    log = tmp_path / 'container.log'
    with log.open('wb') as out:
        env = {**os.environ, 'PYTHONFAULTHANDLER': '1'}
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            yield process
        finally:
            alive = process.poll() is None
            try:
                code = end(process)
            finally:
                print(log.read_text())
    assert alive, f'the container ended by itself with {code}'
    assert code == 0, f'the container ended with {code}'
