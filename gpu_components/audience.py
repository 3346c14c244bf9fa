# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Whether anybody in ROS listens to a publisher."""

from __future__ import annotations

import time
from typing import Any

REMEMBERED_S = 0.02
"""How long an answer holds: less than discovery takes, and two frames at 100 Hz ask once."""


class Audience:
    """
    The subscribers of one publisher, counted once per period.

    To count them costs the middleware microseconds under the interpreter lock, and every frame
    asks dozens of times: before it is uploaded, for each subscriber, for each output.

    Parameters
    ----------
    publisher : rclpy.publisher.Publisher
        Not destroyed while this is asked.

    """

    __slots__ = ('_answer', '_publisher')

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._answer = (False, float('-inf'))

    def listens(self) -> bool:
        """
        Return whether there are subscribers; may be called from any thread.

        Returns
        -------
        bool
            Not older than :data:`REMEMBERED_S`.

        """
        listens, asked_s = self._answer
        now_s = time.monotonic()
        if now_s - asked_s > REMEMBERED_S:
            listens = bool(self._publisher.get_subscription_count() > 0)
            self._answer = (listens, now_s)  # in one step; who asks beside this finds the same
        return listens
