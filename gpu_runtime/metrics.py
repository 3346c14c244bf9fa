# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Counters and timings of every stage, written by its threads and read as frozen snapshots."""

from __future__ import annotations

from collections.abc import Mapping
import threading
from types import MappingProxyType

from gpu_runtime.stage_metrics import StageMetrics
from gpu_runtime.stage_snapshot import StageSnapshot


class Metrics:
    """All stages' metrics of one process, by stage name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, StageMetrics] = {}

    def stage(self, name: str) -> StageMetrics:
        """
        Return a stage's metrics, made at the first call.

        Parameters
        ----------
        name : str
            Fully qualified name of the node or topic.

        Returns
        -------
        StageMetrics
            Shared by all callers.

        """
        with self._lock:
            return self._stages.setdefault(name, StageMetrics())

    def forget(self, name: str) -> None:
        """
        Drop a stage that is gone.

        Parameters
        ----------
        name : str
            Name as given to :meth:`stage`; unknown names are ignored.

        """
        with self._lock:
            self._stages.pop(name, None)

    def snapshot(self) -> Mapping[str, StageSnapshot]:
        """Return frozen copies of all stages."""
        with self._lock:
            stages = dict(self._stages)
        return MappingProxyType({name: stage.snapshot() for name, stage in stages.items()})
