# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A kernel that keeps a stream busy until it is told to go on: proof that nobody waits for it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np

from gpu_runtime.stream import Stream

TIMEOUT_S = 5.0
"""After which the kernel ends by itself, so that no mistake can hang the device."""

SHUT, OPEN, TIMED_OUT = 0, 1, 2

SOURCE = """
extern "C" __global__ void latch(volatile int *flag, unsigned long long timeout_ns) {
    unsigned long long begin, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
    while (*flag == 0) {
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
        if (now - begin > timeout_ns) {
            *flag = 2;
            __threadfence_system();
        }
    }
}
"""


class Latch:
    """
    A gate in a stream; opens at the end of its ``with`` block at the latest.

    The kernel is loaded and run once here: to load one while another runs can wait for it.
    """

    def __init__(self) -> None:
        import cupy

        self._memory: Any = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(4), 0)
        self._flag = np.frombuffer(self._memory, np.int32, 1)
        self._kernel = cupy.RawKernel(SOURCE, 'latch')
        self._flag[0] = OPEN
        self._launch()
        cupy.cuda.get_current_stream().synchronize()
        self._flag[0] = SHUT

    def _launch(self) -> None:
        arguments = (np.uint64(self._memory.ptr), np.uint64(TIMEOUT_S * 1e9))
        self._kernel((1,), (1,), arguments)

    def block(self, stream: Stream) -> None:
        """
        Hold a stream back; does not block the host.

        Parameters
        ----------
        stream : Stream
            Work enqueued on it from now on waits for :meth:`open`.

        """
        with stream:
            self._launch()

    def open(self) -> None:
        """Let the stream go on; does not block."""
        if self._flag[0] == SHUT:
            self._flag[0] = OPEN

    @property
    def timed_out(self) -> bool:
        """Whether the kernel ended by itself: somebody waited for it."""
        return bool(self._flag[0] == TIMED_OUT)

    def __enter__(self) -> Latch:
        """Return the latch."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Open, and wait until no kernel reads the flag any more."""
        import torch

        self.open()
        torch.cuda.synchronize()
