# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The process that plays the cameras: pictures at absolute deadlines, each with a stamp of its own.

A picture's stamp is the system's clock right before the call that publishes it, so the latency
that the monitor finds begins where a camera driver would be done. Cameras take turns within a
period, as cameras that nobody synchronised do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import contextlib
import json
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from gpu_components.bench.picture import picture
from gpu_components.bench.serve import serve

PICTURES = 3
DEPTH = 10
START_S = 0.05
NANOSECONDS = 10**9


class CameraPlayer(Node):
    """
    Publishers of all cameras.

    Parameters
    ----------
    topics : sequence of str
        One per camera.
    width : int
        Columns of the pictures in pixels.
    height : int
        Rows of the pictures in pixels.

    """

    def __init__(self, topics: Sequence[str], width: int, height: int) -> None:
        super().__init__('bench_publisher', start_parameter_services=False)
        self._pictures = [
            picture(width, height, seed).reshape(width * height * 3) for seed in range(PICTURES)
        ]
        self._message = Image(height=height, width=width, encoding='rgb8', step=width * 3)
        self._message.header.frame_id = 'camera_optical'
        self._publishers_by_topic = {
            topic: self.create_publisher(Image, topic, QoSProfile(depth=DEPTH)) for topic in topics
        }

    def subscribers(self) -> dict[str, int]:
        """Return the number of subscribers of each topic."""
        return {
            topic: int(publisher.get_subscription_count())
            for topic, publisher in self._publishers_by_topic.items()
        }

    def play(self, rate_hz: float, frames: int) -> dict[str, Any]:
        """
        Publish pictures at a rate; blocks until the last is out.

        Parameters
        ----------
        rate_hz : float
            Pictures per second of each camera.
        frames : int
            Pictures of each camera.

        Returns
        -------
        dict
            ``sent``: the stamps in nanoseconds by topic; ``achieved_hz``: the rate by these
            stamps, of the slowest camera; ``late``: how many left more than a period after
            their deadline; ``worst_late_ms``: how much the latest of all was late.

        """
        sent: dict[str, list[int]] = {topic: [] for topic in self._publishers_by_topic}
        offset_s = 1.0 / rate_hz / len(sent)
        begin_s = time.monotonic() + START_S
        late, worst_s = 0, 0.0
        for number in range(frames * len(sent)):
            topic = list(sent)[number % len(sent)]
            due_s = begin_s + number * offset_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            late, worst_s = late + (late_s > 1.0 / rate_hz), max(worst_s, late_s)
            sent[topic].append(self._publish(topic, number))
        return {
            'sent': sent,
            'achieved_hz': min(map(_rate_hz, sent.values())),
            'late': late,
            'worst_late_ms': worst_s * 1e3,
        }

    def _publish(self, topic: str, number: int) -> int:
        message = self._message
        # The public setter loops over every byte.
        message._data = self._pictures[number % len(self._pictures)]
        stamp_ns = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NANOSECONDS)
        self._publishers_by_topic[topic].publish(message)
        return stamp_ns


def _rate_hz(stamps: list[int]) -> float:
    if len(stamps) < 2:
        return 0.0
    return (len(stamps) - 1) * NANOSECONDS / (stamps[-1] - stamps[0])


def main(argv: Sequence[str] | None = None) -> int:
    """
    Play until the standard input closes.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        0.

    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('specification', type=json.loads, help='JSON: topics, width, height')
    options = parser.parse_args(argv)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    player = CameraPlayer(**options.specification)

    def answer(do: str, **request: Any) -> Any:
        return player.subscribers() if do == 'subscribers' else player.play(**request)

    with contextlib.suppress(KeyboardInterrupt):
        serve(answer)
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
