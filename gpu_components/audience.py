# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Who in ROS listens to the publishers of a component."""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any

REMEMBERED_S = 0.02
"""How long an answer holds: less than discovery takes, and two frames at 100 Hz ask once."""


class Audience:
    """
    The subscribers of some publishers, counted once per period.

    To count them costs the middleware microseconds under the interpreter lock, and every frame
    asks dozens of times: before it is uploaded, for each subscriber, for each output.

    Parameters
    ----------
    publishers : Mapping of str to rclpy.publisher.Publisher
        By topic.  Not destroyed while this is asked.

    """

    __slots__ = ('_answer', '_publishers')

    def __init__(self, publishers: Mapping[str, Any]) -> None:
        self._publishers = publishers
        self._answer: tuple[frozenset[str], float] = (frozenset(), float('-inf'))

    def heard(self) -> frozenset[str]:
        """
        Return the topics that have subscribers; may be called from any thread.

        Returns
        -------
        frozenset of str
            Not older than :data:`REMEMBERED_S`; the same object while nobody comes or goes.

        """
        heard, asked_s = self._answer
        now_s = time.monotonic()
        if now_s - asked_s > REMEMBERED_S:
            found = frozenset(
                topic
                for topic, publisher in self._publishers.items()
                if publisher.get_subscription_count() > 0
            )
            heard = heard if found == heard else found
            self._answer = (heard, now_s)  # in one step; who asks beside this finds the same
        return heard
