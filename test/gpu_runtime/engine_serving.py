# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A model that serves while its engine is built, for the tests of engines."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
import sys
import time

from quick_builder import COMMAND
import torch

from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.models import EngineModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource

FAILS = (sys.executable, '-S', '-c', 'import sys; sys.exit("nothing is built here")')
HANGS = (sys.executable, '-S', '-c', 'import time; time.sleep(600)')
STAGE = '/stage'


@dataclass
class Serving:
    """A context with a store, one model of a stage, and what is told of it."""

    folder: Path
    model_file: str
    command: tuple[str, ...] = COMMAND
    backend: str = 'compile'
    told: list[str] = field(default_factory=list)

    def __enter__(self) -> Serving:
        self.context = GpuContext('cpu', engine_store=EngineStore(self.folder, 64))
        self.account = self.context.budget.open(STAGE)
        builds = self.context.engines
        assert builds is not None
        builds.command = self.command
        self.stage = self.context.metrics.stage(STAGE)
        self.stage.note = self._note  # type: ignore[method-assign]
        with self.account.use():
            self.model = load_model(
                ModelSource.parse(self.model_file),
                device=self.context.device,
                backend=self.backend,  # type: ignore[arg-type]
                capture_lock=self.context.capture_lock,
                engines=builds,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()
        self.context.budget.close_account(self.account)
        assert self.context.close() == []

    def prepare(self, x: torch.Tensor) -> None:
        """Prepare as a component does."""
        with self.account.use():
            self.model.prepare((x,))

    def _note(self, name: str, text: str) -> None:
        """Keep each state, also one that is over before anybody looks."""
        if name == 'engine' and text:
            self.told.append(text)
        type(self.stage).note(self.stage, name, text)

    @property
    def note(self) -> str:
        """What diagnostics tell."""
        return self.stage.snapshot().notes.get('engine', '')

    def until(self, start: str, x: torch.Tensor, timeout_s: float = 300.0) -> int:
        """Serve until a state comes; returns how many calls that took."""
        end, calls = time.monotonic() + timeout_s, 0
        while not self.note.startswith(start):
            assert time.monotonic() < end, self.told
            self.model(x)
            calls += 1
            time.sleep(0.02)  # the builder needs the processor too
        return calls


def auto(serving: Serving, file: str) -> EngineModel:
    """Return the model that ``auto`` makes on a GPU, here on the CPU."""
    module = ModelSource.parse(file).load(device=serving.context.device)
    order = BuildOrder('onnx', file, 'DEFAULT', False, 'auto', 'fp32', 'cpu')
    assert serving.context.engines is not None
    lock = serving.context.capture_lock
    return EngineModel(Forward(module), order, serving.context.engines, lock)
