# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What ends a container from outside."""

from __future__ import annotations

import contextlib
import os
import signal


class StopSignal:
    """
    What the main thread waits for: SIGINT, SIGTERM, or a lost CUDA context.

    The wake-up descriptor is written whichever thread the signal reaches; a lock in the main
    thread would only be interrupted by a signal to that very thread, and the threads of CUDA
    and DDS take their share.
    """

    def __init__(self) -> None:
        self.lost: BaseException | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)

    def on_lost(self, error: BaseException) -> None:
        """
        Stop because no call to the device can succeed any more.

        Parameters
        ----------
        error : BaseException
            What was raised.

        """
        self.lost = error
        with contextlib.suppress(BlockingIOError):  # full: the main thread is awake already
            os.write(self._write, b'!')

    def wait(self) -> None:
        """Block until there is a reason to stop; further signals are ignored from then on."""
        os.read(self._read, 1)
        # Ignored, not handled: Python gives its handlers up before the interpreter has ended.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
