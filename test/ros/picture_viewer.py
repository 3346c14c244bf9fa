# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS client that shows pictures to a stage and collects what each of its outputs answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
import time
from typing import Any

from container_process import picture_message
from container_process import RosClient
from container_process import stamp_of
from container_process import wait_until
import numpy as np
from rclpy.qos import QoSProfile
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


class PictureViewer:
    """A publisher of pictures and a collector of everything that answers them."""

    def __init__(self, ros: RosClient, picture_topic: str, outputs: Mapping[str, Any]) -> None:
        """Connect to a stage; ``outputs`` gives the type of message of each topic."""
        self.ros = ros
        self.answers: dict[str, dict[int, Any]] = defaultdict(dict)
        self._publisher = ros.node.create_publisher(Image, picture_topic, RELIABLE)
        self._subscriptions = [self._subscribe(topic, kind) for topic, kind in outputs.items()]
        self._stamp = time.time_ns()
        wait_until(lambda: self._publisher.get_subscription_count() > 0, 'nobody takes pictures')
        for topic in outputs:
            self.wait_output(topic)

    def _subscribe(self, topic: str, kind: Any) -> Any:
        return self.ros.node.create_subscription(
            kind,
            f'/{topic}',
            lambda message: self.answers[topic].update({stamp_of(message): message}),
            RELIABLE,
        )

    def wait_output(self, topic: str) -> None:
        """Publish until an output answers: the far side learns of subscriptions a little later."""
        end = time.monotonic() + 60.0
        while not self.answers[topic]:
            assert time.monotonic() < end, f'nothing on {topic}'
            self.publish(np.zeros((48, 64, 3), np.uint8))
            time.sleep(0.1)

    def publish(self, pixels: Any, encoding: str = 'bgr8') -> int:
        """Publish a picture and return its stamp."""
        self._stamp += 1_000_000
        self._publisher.publish(picture_message(pixels, encoding, stamp_ns=self._stamp))
        return self._stamp

    def publish_message(self, message: Image) -> None:
        """Publish any image message."""
        self._publisher.publish(message)

    def answer(self, topic: str, stamp: int) -> Any:
        """Wait for the answer to a picture."""
        wait_until(lambda: stamp in self.answers[topic], f'no {topic} for {stamp}')
        return self.answers[topic][stamp]

    def close(self) -> None:
        """Take publisher and subscriptions off the node."""
        self.ros.node.destroy_publisher(self._publisher)
        for subscription in self._subscriptions:
            self.ros.node.destroy_subscription(subscription)
