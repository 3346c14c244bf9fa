# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The floors of accuracy on the device: every stage, by every backend, in every precision.

The floors are those of float32 on the CPU: no precision is granted less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accuracy import require_scores
from direct_stage import DirectStage
from engine_bench import cannot_run
from engine_bench import refusal
from engine_bench import require
from engine_bench import until_told
import numpy as np
from plain_inductor import crash_of_torch
import pytest
from scored_stages import SCORED
import torch

from gpu_runtime.engines import EngineStore
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import EagerModel
from gpu_runtime.models import EngineModel
from gpu_runtime.models import PRECISIONS

pytestmark = [pytest.mark.gpu, pytest.mark.shared]

PLAIN = {'eager': EagerModel, 'cuda_graph': CudaGraphModel}
BLACK = np.zeros((480, 640, 3), np.uint8)

stages = pytest.mark.parametrize('name', list(SCORED))
precisions = pytest.mark.parametrize('precision', PRECISIONS)


@contextmanager
def prepared(
    device: torch.device, name: str, shared_dir: Path, store: EngineStore | None, **values: Any
) -> Iterator[DirectStage]:
    """Prepare a stage, and take everything back."""
    context = GpuContext(str(device), engine_store=store)
    stage = SCORED[name].stage(context, shared_dir, **values)
    try:
        yield stage
    finally:
        stage.close()
        assert context.close() == []


def check_engine(model: EngineModel) -> None:
    """Require that there is an engine, and that it gave the answers."""
    assert len(model._engines) == 1
    assert not model._taking_over, 'the engine is there, and was never called'


@stages
@pytest.mark.parametrize('backend', list(PLAIN))
@precisions
def test_a_network_as_it_is_reaches_the_floor(
    gpu: torch.device, shared_dir: Path, name: str, backend: str, precision: str
) -> None:
    """As torch runs it, or as a graph of its own."""
    require(backend, gpu, precision)
    values = {'backend': backend, 'precision': precision}
    with prepared(gpu, name, shared_dir, None, **values) as stage:
        model = stage.component.prepared.model
        assert type(model) is PLAIN[backend]
        scores = SCORED[name].measure(stage, shared_dir)
        if backend == 'cuda_graph':
            assert model.captured == 1, 'the network does not run as a graph'
    require_scores(scores, f'{name:10s} {backend:10s} {precision}')


@pytest.mark.slow
@pytest.mark.timeout(900)
@stages
@pytest.mark.parametrize('backend', ['tensorrt', 'compile'])
@precisions
def test_an_engine_reaches_the_floor(
    gpu: torch.device, shared_dir: Path, tmp_path: Path, name: str, backend: str, precision: str
) -> None:
    """Or it is refused, does not agree with the network or cannot run: then the network does."""
    require(backend, gpu, precision)
    if backend == 'compile' and (reason := crash_of_torch()):
        pytest.skip(reason)
    values = {'backend': backend, 'precision': precision}
    store = EngineStore(tmp_path / 'engines', 1024)
    with prepared(gpu, name, shared_dir, store, **values) as stage:
        until_told(stage.note, lambda: stage.answer(BLACK))
        told, model = stage.note(), stage.component.prepared.model
        ready = told.startswith(f'ready: {backend} {precision}')
        assert ready or refusal(told, backend, precision) or cannot_run(told, precision), told
        scores = SCORED[name].measure(stage, shared_dir)
        if ready:
            check_engine(model)
        else:
            print(f'{name}: goes on without an engine, {told}')
            assert not model._engines
        assert stage.note() == told
    serving = 'engine' if ready else 'network, engine refused'
    require_scores(scores, f'{name:10s} {backend:10s} {precision} {serving}')
