# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Builds and measures engines, in a process of its own: ``python -m gpu_runtime.engines.builder``.

The folder given as argument holds a :class:`BuildOrder` and the inputs.  Lines on the standard
output tell the progress; the report and the engines are left in the folder.  If a report is there
already, an earlier process came to grief, and this one goes on from it.  The process ends when its
standard input does, that is with the one that started it.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import copy
from dataclasses import replace
import os
from pathlib import Path
import signal
import sys
import threading
import traceback

import torch

from gpu_runtime.engines.agreement import compare
from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.engines.build_order import INPUTS
from gpu_runtime.engines.build_order import STATE
from gpu_runtime.engines.build_report import BuildReport
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.engines.compilers import usable
from gpu_runtime.engines.fingerprint import graph_hash
from gpu_runtime.engines.fingerprint import weights_hash
from gpu_runtime.engines.measure import measure
from gpu_runtime.errors import EngineError
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.models.cuda_graph import CudaGraphModel
from gpu_runtime.models.eager import EagerModel
from gpu_runtime.models.flat_module import FlatModule
from gpu_runtime.models.forward import Forward
from gpu_runtime.models.loaded_engine import load_engine
from gpu_runtime.models.model import Model
from gpu_runtime.models.model_source import ModelSource
from gpu_runtime.models.precision import bring_to
from gpu_runtime.models.precision import casting_device
from gpu_runtime.models.precision import dtype_of
from gpu_runtime.models.precision import keep_fp32_exact
from gpu_runtime.models.precision import may_fuse
from gpu_runtime.models.source_kind import SourceKind

_NICE = 10
"""Stages of the running process go first on the host."""

_CAPTURES = threading.Lock()


class Builder:
    """
    The work of the process.

    Parameters
    ----------
    folder : Path
        With order and inputs.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order = BuildOrder.read(folder)
        self._device = torch.device(self._order.device)
        given = torch.load(folder / INPUTS, map_location=self._device, weights_only=True)
        self._inputs: tuple[torch.Tensor, ...] = tuple(given)
        self._models: dict[str, Model] = {}
        before = BuildReport.read(folder)
        self._found = {candidate.backend: candidate for candidate in before.candidates}

    def run(self) -> list[Candidate]:
        """
        Build what is asked for, compare it with the network, and measure what agrees.

        Returns
        -------
        list of Candidate
            In the order in which they were tried; a failure of one is told in it.

        Raises
        ------
        GpuPerceptionError
            If the network itself cannot be had, or is not the one that was asked about.

        """
        _say('loading')
        forward, reference = self._load()
        plain: dict[str, Model] = {'eager': EagerModel(forward)}
        if self._device.type == 'cuda':
            plain['cuda_graph'] = CudaGraphModel(forward, self._device, _CAPTURES)
        for name, model in plain.items():
            self._try(name, model, reference)
        for name in self._compilers():
            self._note(trying=name)
            try:
                remark, model = self._build(name)
                self._try(name, model, reference, remark)
            except Exception as error:  # whatever a compiler raises is its own failure
                traceback.print_exc()
                self._found[name] = Candidate(name, problem=_first_line(error))
                self._note(trying=name)
                if self._device.type == 'cuda':
                    torch.cuda.synchronize(self._device)  # raises if the context went with it
            self._note()
        if len(self._models) < 2:
            return list(self._found.values())
        _say('measuring')
        times = measure(self._models, self._inputs, self._device)
        return [replace(c, ms=times.get(c.backend, 0.0)) for c in self._found.values()]

    def _compilers(self) -> list[str]:
        """Name what is asked for, without what failed before."""
        names = [self._order.backend]
        if self._order.backend == 'auto':
            names = list(usable(self._device, self._order.precision))
        return [name for name in names if name not in self._found or not self._found[name].problem]

    def _note(self, trying: str = '') -> None:
        """Write down what was found, and what may now end the process."""
        BuildReport(tuple(self._found.values()), trying).write(self._folder)

    def _load(self) -> tuple[Forward, tuple[torch.Tensor, ...]]:
        """Return the network in its precision, and its outputs in float32."""
        order, kind = self._order, SourceKind(self._order.kind)
        module = ModelSource(kind, order.name).load(
            weights=order.weights,
            allow_unsafe_models=order.allow_unsafe_models,
            device=casting_device(kind, self._device),
        )
        if (self._folder / STATE).exists():
            state = torch.load(self._folder / STATE, map_location='cpu', weights_only=True)
            module.load_state_dict(state)
        reference = Forward(copy.deepcopy(module).to(self._device))(*self._inputs)
        reference = tuple(tensor.clone() for tensor in reference)
        # Compilers are told about TF32, and get layers that they know.
        self._layers = copy.deepcopy(module)
        if order.precision != 'tf32':
            self._layers = bring_to(self._layers, order.precision, kind)
        self._layers = self._layers.to(self._device)
        fuse = may_fuse(self._device, order.weights)
        module = bring_to(module, order.precision, kind, fuse=fuse).to(self._device)
        if weights_hash(module) != order.state or graph_hash(module, order.name) != order.graph:
            raise EngineError(
                f'{order.model} is not what it was when the build was asked for; expected the '
                'same file and weights: configure the component again'
            )
        return Forward(module, dtype_of(order.precision)), reference

    def _build(self, name: str) -> tuple[str, Model]:
        """Return what people should know of an engine, and it; built unless it is there."""
        file, precision = self._folder / name, self._order.precision
        if name in self._found:
            remark = self._found[name].remark
        else:
            _say(f'compiling {name}')
            network = FlatModule(Forward(self._layers, dtype_of(precision)))
            remark = COMPILERS[name].build(network, self._inputs, file, precision)
        _say(f'loading {name}')
        loaded = load_engine(name, file, self._device)
        if self._device.type == 'cuda':
            return remark, CudaGraphModel(loaded, self._device, _CAPTURES)
        return remark, EagerModel(loaded)

    def _try(
        self, name: str, model: Model, reference: tuple[torch.Tensor, ...], remark: str = ''
    ) -> None:
        """Compare a model with the network, and keep it for measuring if it agrees."""
        model.prepare(self._inputs)
        found = compare(model(*self._inputs), reference, self._order.precision)
        self._found[name] = Candidate(name, 0.0, found.error, found.limit, remark)
        if found.ok or name == 'eager':
            self._models[name] = model


def main(argv: Sequence[str] | None = None) -> int:
    """
    Build what a folder asks for.

    Parameters
    ----------
    argv : sequence of str, optional
        The folder; default ``sys.argv[1:]``.

    Returns
    -------
    int
        0 if there is a report, even of failures; 1 if the network itself cannot be had.

    """
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):  # its priority may be fixed from outside
        os.nice(_NICE)
    keep_fp32_exact()
    try:
        found = Builder(folder).run()
    except GpuPerceptionError as error:
        print(str(error), file=sys.stderr)
        return 1
    BuildReport(tuple(found), complete=True).write(folder)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__


def _end_with_parent() -> None:
    """Wait for the end of the standard input; compilers started from here end too."""
    # Not sys.stdin.read: a thread inside it would keep the interpreter from ending.
    while os.read(0, 1):
        continue
    os.killpg(0, signal.SIGKILL)


if __name__ == '__main__':
    sys.exit(main())
