# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized messages arrive as they were written, and Python goes on while they leave."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
from probe import Listener
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from spinning import NodeFactory
from spinning import wait_until
from std_msgs.msg import String

from gpu_components.messages import image_message
from gpu_components.raw_sender import RawSender
from gpu_components.serialized import Serialized
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat


def picture(side: int, value: int) -> tuple[Serialized, Any]:
    """Return a square grey picture as a message, and its bytes."""
    data = np.full(side * side, value, np.uint8)
    return image_message(
        Header(value, 'optical'), ImageFormat(side, side, 'mono8', side), data
    ), data


def test_messages_arrive(make_node: NodeFactory, spun: SingleThreadedExecutor) -> None:
    """Larger and smaller than the one before, of one piece and of several."""
    viewer = make_node('viewer')
    pictures, texts = Listener(viewer, Image, 'picture'), Listener(viewer, String, 'text')
    spun.add_node(viewer)
    source = make_node('source')
    picture_publisher = source.create_publisher(Image, 'picture', 10)
    text_publisher = source.create_publisher(String, 'text', 10)
    for publisher in (picture_publisher, text_publisher):
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1)  # type: ignore[misc]
    sender = RawSender()
    for side, value in ((4, 1), (50, 2), (9, 3)):
        message, data = picture(side, value)
        sender.send(picture_publisher, message)
        data.fill(0)  # It is copied before send returns.
    sender.send(text_publisher, Serialized(serialize_message(String(data='größe'))))
    arrived = pictures.wait(3)
    assert [(m.width, set(m.data)) for m in arrived] == [(4, {1}), (50, {2}), (9, {3})]
    assert [m.header.stamp.nanosec for m in arrived] == [1, 2, 3]
    assert texts.wait(1)[0].data == 'größe'
    spun.remove_node(viewer)


def test_other_threads_run_meanwhile(make_node: NodeFactory) -> None:
    """The middleware copies without the interpreter lock."""
    publisher = make_node('source').create_publisher(Image, 'picture', 1)
    sender, message = RawSender(), Serialized(bytes(picture(4000, 1)[0]))
    sender.send(publisher, message)
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    # Nobody is made to give the interpreter up: whoever runs meanwhile was let in by send.
    sys.setswitchinterval(30.0)
    try:
        thread.start()
        spans = []
        for _ in range(20):
            begin = time.perf_counter()
            sender.send(publisher, message)
            spans.append((begin, time.perf_counter()))
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert any(begin < tick < end for begin, end in spans for tick in ticks)


def test_what_is_put_together_lies_off_the_middleware_s_memory(make_node: NodeFactory) -> None:
    """Copies between like places of two pages can take five times as long."""
    publisher = make_node('source').create_publisher(Image, 'picture', 1)
    sender = RawSender()
    for side in (4, 300, 1000):
        sender.send(publisher, picture(side, 1)[0])
        assert sender._scratch.nbytes > side * side
        assert sender._scratch.ctypes.data % 4096 == 2048


def test_a_publisher_that_is_gone_is_refused(make_node: NodeFactory) -> None:
    """As rclpy refuses it."""
    node = make_node('source')
    publisher = node.create_publisher(Image, 'picture', 1)
    node.destroy_publisher(publisher)
    with pytest.raises(Exception, match='destruction'):
        RawSender().send(publisher, picture(4, 1)[0])
