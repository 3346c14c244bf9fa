# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The floors of accuracy of the quicker stages, without ROS; the others are tested through it."""

from __future__ import annotations

from pathlib import Path

from accuracy import require_scores
import pytest
from scored_stages import SCORED

from gpu_runtime.gpu_context import GpuContext


@pytest.mark.shared
@pytest.mark.parametrize('name', ['classifier', 'depth'])
def test_a_stage_reaches_the_floor(shared_dir: Path, name: str) -> None:
    context = GpuContext('cpu')
    stage = SCORED[name].stage(context, shared_dir)
    scores = SCORED[name].measure(stage, shared_dir)
    stage.close()
    assert context.close() == []
    require_scores(scores, f'{name:10s} cpu        fp32')
