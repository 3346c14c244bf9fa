# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Reads the clock of ``gil_clock.c``: what each thread does under the GIL and outside it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
import shutil
import subprocess
import tempfile
import threading
import time

SOURCE = Path(__file__).with_name('gil_clock.c')
MOST_THREADS = 1024
COLUMNS = 4


@dataclass(frozen=True)
class ThreadTime:
    """Seconds that one thread has spent since it began; releases are a count."""

    name: str
    cpu_s: float
    outside_s: float
    waiting_s: float
    releases: int

    @property
    def under_s(self) -> float:
        """CPU seconds with the GIL."""
        return self.cpu_s - self.outside_s

    def since(self, before: ThreadTime | None) -> ThreadTime:
        """Return what came since an earlier moment."""
        if before is None:
            return self
        return ThreadTime(
            self.name,
            self.cpu_s - before.cpu_s,
            self.outside_s - before.outside_s,
            self.waiting_s - before.waiting_s,
            self.releases - before.releases,
        )


class GilClock:
    """
    The clock, started for all libraries that are loaded by now.

    Raises RuntimeError where there is no C compiler, or nothing to catch.
    """

    def __init__(self) -> None:
        compiler = shutil.which('cc') or shutil.which('gcc')
        if compiler is None:
            raise RuntimeError('no C compiler; expected cc: install gcc')
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / 'gil_clock.so'
            command = [compiler, '-O2', '-Wall', '-Werror', '-shared', '-fPIC', '-o', str(library)]
            subprocess.run([*command, str(SOURCE), '-ldl'], check=True)
            self._library = ctypes.CDLL(str(library))
        # Rows change under our hands; a copy is good enough, since each is read twice.
        self._rows = (ctypes.c_int64 * (MOST_THREADS * COLUMNS))()
        self.caught = int(self._library.gil_clock_start())
        if not self.caught:
            raise RuntimeError('no library calls PyEval_SaveThread; expected at least one')

    def read(self) -> dict[int, ThreadTime]:
        """Return the threads that Python knows, by their id in the kernel."""
        count = self._library.gil_clock_read(self._rows, MOST_THREADS)
        rows = {}
        for i in range(count):
            tid, *values = self._rows[i * COLUMNS : (i + 1) * COLUMNS]
            rows[tid] = values
        times = {}
        for thread in threading.enumerate():
            if thread.ident is None or thread.native_id is None:
                continue
            outside_ns, waiting_ns, releases = rows.get(thread.native_id, (0, 0, 0))
            cpu_s = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            times[thread.native_id] = ThreadTime(
                thread.name, cpu_s, outside_ns * 1e-9, waiting_ns * 1e-9, releases
            )
        return times
