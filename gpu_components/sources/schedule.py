# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""When the pictures of a source are due."""

from __future__ import annotations

BUFFERS = 4
"""
Pictures that a source makes up for after a stall, as many as the buffers of a camera's driver hold
for a reader that comes late: OpenCV asks V4L2 for four.  After a longer one they would be old.
"""


def next_due(due_s: float, now_s: float, period_s: float) -> tuple[float, int]:
    """
    Return when the next picture is due: a period after the last one was, however late that is.

    Parameters
    ----------
    due_s : float
        When the picture that is read now was due, in seconds.
    now_s : float
        The present time, not before it.
    period_s : float
        From one picture to the next, in seconds.

    Returns
    -------
    due_s : float
        In the past, where one more is to be made up for.
    missed : int
        Pictures that are left out: the schedule starts anew once it is more than
        :data:`BUFFERS` periods behind.

    """
    late_s = now_s - due_s
    if late_s <= BUFFERS * period_s:
        return due_s + period_s, 0
    return now_s + period_s, int(late_s / period_s)
