# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What processes and the machine have used so far, as Linux tells in /proc (see proc(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path

TICK_S = 1.0 / os.sysconf('SC_CLK_TCK')
PROC = Path('/proc')


@dataclass(frozen=True)
class Usage:
    """
    CPU time at one moment.

    Parameters
    ----------
    processes_s : Mapping of str to float
        CPU seconds of each process since it began, user and system, all threads.
    busy_s : float
        CPU seconds of the whole machine that were not idle.
    total_s : float
        CPU seconds that the machine had.

    """

    processes_s: Mapping[str, float]
    busy_s: float
    total_s: float

    @classmethod
    def now(cls, pids: Mapping[str, int]) -> Usage:
        """
        Read the counters.

        Parameters
        ----------
        pids : Mapping of str to int
            Process ids by name; each has to be alive.

        Returns
        -------
        Usage
            In steps of a clock tick, 10 ms on most machines.

        """
        # "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; guest is in user.
        ticks = [int(n) for n in (PROC / 'stat').read_text().splitlines()[0].split()[1:9]]
        return cls(
            {name: _cpu_s(pid) for name, pid in pids.items()},
            (sum(ticks) - ticks[3] - ticks[4]) * TICK_S,
            sum(ticks) * TICK_S,
        )

    def ms_since(self, before: Usage) -> dict[str, float]:
        """
        Return what each process has used meanwhile.

        Parameters
        ----------
        before : Usage
            An earlier moment, of the same processes.

        Returns
        -------
        dict of str to float
            Milliseconds of CPU time.

        """
        return {
            name: (used_s - before.processes_s[name]) * 1e3
            for name, used_s in self.processes_s.items()
        }

    def percent_since(self, before: Usage) -> float:
        """
        Return how busy the whole machine was meanwhile.

        Parameters
        ----------
        before : Usage
            An earlier moment.

        Returns
        -------
        float
            0 to 100, all cores together.

        """
        total_s = self.total_s - before.total_s
        busy_s = self.busy_s - before.busy_s
        return min(100.0, 100.0 * busy_s / total_s) if total_s else 0.0  # sums of days are rounded


def _cpu_s(pid: int) -> float:
    # The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    fields = (PROC / str(pid) / 'stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    """
    Return the host memory that a process holds.

    Parameters
    ----------
    pid : int
        Of a process that is alive.

    Returns
    -------
    int
        Bytes in RAM, shared ones included.

    """
    pages = int((PROC / str(pid) / 'statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE')
