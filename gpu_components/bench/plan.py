# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Which scenarios a run of the benchmark has."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from gpu_components.bench.scenario import Contender
from gpu_components.bench.scenario import CONTENDERS
from gpu_components.bench.scenario import Scenario
from gpu_components.bench.scenario import STAGES
from gpu_runtime.errors import ParameterError

ALL = tuple(STAGES)
SIZES = ((640, 480), (1280, 720), (1920, 1080))
CAMERAS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Plan:
    """
    How long and how often is measured, and with what.

    Parameters
    ----------
    sizes : sequence of tuple of int
        Width and height of the pictures in pixels; the first also for single stages and cameras.
    cameras : sequence of int
        Numbers of cameras.
    contenders : sequence of str
        Keys of ``CONTENDERS``.
    rival_cameras : int
        Most cameras that rivals get: each is five more processes.
    single_stages : bool
        Whether each stage is measured alone too.
    in_process_sources : bool
        Whether the container is measured with a camera of its own too.
    only : sequence of str
        Patterns of scenario names; empty for all.
    seconds : float
        Length of one probe.
    repeats : int
        Probes at the rate that was found.
    min_rate_hz : float
        Lowest rate that is tried; if it is not held, the peak is 0.
    max_rate_hz : float
        Highest rate that is tried.
    common_rate_hz : float
        A rate at which every contender is measured too, so that latencies can be compared.
    loss : float
        Part of the pictures that may be missing on an output, 0 to 1.
    resolution : float
        The search ends when the bounds are this close, as a part of the rate.
    detector : str
        torchvision's name.
    classifier : str
        torchvision's name.
    precision : str
        Of the container's networks; ``auto`` is fp16 on a GPU.  The naive nodes keep torch's
        own: float32, convolutions in TF32.

    """

    sizes: Sequence[tuple[int, int]] = SIZES
    cameras: Sequence[int] = CAMERAS
    contenders: Sequence[str] = tuple(CONTENDERS)
    rival_cameras: int = 1
    single_stages: bool = True
    in_process_sources: bool = True
    only: Sequence[str] = ()
    seconds: float = 5.0
    repeats: int = 5
    min_rate_hz: float = 0.5
    max_rate_hz: float = 600.0
    common_rate_hz: float = 5.0
    loss: float = 0.01
    resolution: float = 0.05
    detector: str = 'fasterrcnn_resnet50_fpn'
    classifier: str = 'resnet18'
    precision: str = 'auto'

    def scenarios(self) -> list[Scenario]:
        """
        Return the scenarios in the order in which they run.

        Returns
        -------
        list of Scenario
            Those of one group follow each other, so that their conditions are alike.

        Raises
        ------
        ParameterError
            If a contender is unknown, or the patterns leave nothing.

        """
        unknown = set(self.contenders) - set(CONTENDERS)
        if unknown or not self.contenders:
            raise ParameterError(
                f'contenders {sorted(unknown)}; expected some of {", ".join(CONTENDERS)}'
            )
        found = list(dict.fromkeys(self._all()))
        kept = [
            s for s in found if not self.only or any(fnmatchcase(s.name, p) for p in self.only)
        ]
        if not kept:
            names = ', '.join(scenario.name for scenario in found)
            raise ParameterError(f'no scenario matches {", ".join(self.only)}; there are {names}')
        return kept

    def _all(self) -> Iterator[Scenario]:
        for size in self.sizes:
            yield from self._group(ALL, size, 1)
            if self.in_process_sources and 'container' in self.contenders:
                yield Scenario('container', ALL, *size, source='in_process')
        for cameras in self.cameras:
            yield from self._group(ALL, self.sizes[0], cameras)
        if self.single_stages:
            for stage in ALL:
                yield from self._group((stage,), self.sizes[0], 1)

    def _group(
        self, stages: tuple[str, ...], size: tuple[int, int], cameras: int
    ) -> Iterator[Scenario]:
        for contender in cast(Sequence[Contender], self.contenders):
            if contender == 'container' or cameras <= self.rival_cameras:
                yield Scenario(
                    contender,
                    stages,
                    *size,
                    cameras=cameras,
                    set_parameters=stages == ALL and cameras == 1 and size == self.sizes[0],
                )


QUICK = Plan(
    sizes=((160, 120),),
    cameras=(1,),
    contenders=('container', 'naive_one_process'),
    single_stages=False,
    in_process_sources=False,
    seconds=1.5,
    repeats=1,
    max_rate_hz=4.0,
    common_rate_hz=2.0,
    resolution=0.5,
    detector='ssdlite320_mobilenet_v3_large',
)
"""Toy pictures, a small detector and toy rates: shows that all works, and measures little."""
