# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes images that are told apart in their bytes: what the tests of the reader share."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from spinning import wait_until

QOS = QoSProfile(depth=20)


def image(value: int, nbytes: int = 8) -> Image:
    """Return a message told by its width."""
    message = Image(width=value)
    message.data = bytes([value % 256]) * nbytes
    return message


def width(message: memoryview) -> int:
    """Return what tells messages apart; stamp and frame_id are empty."""
    return int.from_bytes(message[24:28], 'little')


def publisher_of(node: Node, topic: str = 'image', readers: int = 1) -> Any:
    """Return a publisher that has found its readers."""
    publisher = node.create_publisher(Image, topic, QOS)
    assert wait_until(lambda: publisher.get_subscription_count() == readers)
    return publisher


def names() -> set[str]:
    """Return the names of all threads."""
    return {thread.name for thread in threading.enumerate()}
