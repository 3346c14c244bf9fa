# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Engines on the device: compiled aside, replayed as a graph, chosen by measurement, accurate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import sys
import time

from engine_bench import CRASHED
from engine_bench import refusal
from engine_bench import require
from engine_bench import until_told
from plain_inductor import crash_of_torch
import pytest
import torch

from gpu_runtime.engines import compare
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.agreement import TOLERANCES
from gpu_runtime.engines.build_process import COMMAND
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.engines.compilers import usable
from gpu_runtime.engines.tensorrt_library import installed
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import EngineModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models.precision import bring_to
from gpu_runtime.models.source_kind import SourceKind

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(900)]

RESNET = ModelSource.parse('torchvision/resnet18')
STAGE = '/stage'
FAILS = (sys.executable, '-S', '-c', 'import sys; sys.exit("nothing is built here")')


@pytest.fixture(name='gpu')
def device(gpu: torch.device) -> torch.device:
    """Return the device to test on."""
    return torch.device(gpu)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of random weights: of the same key at each start."""
    from torchvision import models

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp('weights') / 'resnet18.pth'
    torch.save(models.resnet18(weights=None).state_dict(), file)
    return str(file)


@contextmanager
def serving(
    folder: Path,
    device: torch.device,
    weights: str,
    backend: str,
    precision: str,
    command: tuple[str, ...] = COMMAND,
) -> Iterator[tuple[GpuContext, EngineModel, torch.Tensor]]:
    """Serve ResNet-18 as a stage does, prepared."""
    context = GpuContext(str(device), engine_store=EngineStore(folder, 1024))
    builds = context.engines
    assert builds is not None
    builds.command = command
    account = context.budget.open(STAGE)
    with account.use():
        model = load_model(
            RESNET,
            device=device,
            backend=backend,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            weights=weights,
            capture_lock=context.capture_lock,
            engines=builds,
        )
        x = torch.rand(1, 3, 224, 224, device=device)
        assert isinstance(model, EngineModel)
        model.prepare((x,))
    try:
        yield context, model, x
    finally:
        model.close()
        context.budget.close_account(account)
        assert context.close() == []


def note(context: GpuContext) -> str:
    """Return what diagnostics tell of the engine."""
    return context.metrics.stage(STAGE).snapshot().notes.get('engine', '')


@contextmanager
def no_host_synchronisation() -> Iterator[None]:
    """Turn every wait of the host inside into an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def check_engine(
    model: EngineModel, x: torch.Tensor, module: torch.nn.Module, precision: str
) -> None:
    """Require that the engine answers, as a graph, and agrees with the network."""
    (engine,) = model._engines.values()
    assert isinstance(engine, CudaGraphModel)
    for seed in range(3):
        torch.manual_seed(seed)
        other = torch.rand_like(x)
        found = compare(model(other), Forward(module)(other), precision)
        assert found.ok, found
    with torch.cuda.stream(torch.cuda.Stream(x.device)):
        model(x)
        assert engine.captured == 1, 'the engine runs, but not as a graph'
        with no_host_synchronisation():
            before = torch.cuda.memory_stats(x.device)['allocation.all.allocated']
            for _ in range(10):
                model(x)
            assert torch.cuda.memory_stats(x.device)['allocation.all.allocated'] == before


def check_network(
    model: EngineModel, x: torch.Tensor, module: torch.nn.Module, precision: str
) -> None:
    """Require that the network answers as it is, as a graph, where there is no engine."""
    assert not model._engines
    assert isinstance(model._first, CudaGraphModel)
    assert model._first.captured == 1
    for seed in range(3):
        torch.manual_seed(seed)
        other = torch.rand_like(x)
        found = compare(model(other), Forward(module)(other), precision)
        assert found.ok, found


def outcome(told: str, backend: str, precision: str) -> str:
    """
    Return ready, refused or crashed; whatever else becomes of an engine is a failure.

    TensorRT-RTX computes float32 as TF32, also where it is told not to; such an engine does not
    agree in fp32, and would in tf32.  A compiler may crash as torch does without us.
    """
    if told.startswith(f'ready: {backend} {precision}'):
        return 'ready'
    if backend == 'compile' and told.startswith(CRASHED):
        return 'crashed'
    rtx = 'torch-tensorrt-rtx' in installed()
    if rtx and (backend, precision) == ('tensorrt', 'fp32'):
        error = refusal(told, backend, precision)
        if error is not None and TOLERANCES['fp32'] < error <= TOLERANCES['tf32']:
            return 'refused'
    pytest.fail(told)


@pytest.mark.parametrize(
    ('backend', 'precision'),
    [
        ('tensorrt', 'fp32'),
        ('tensorrt', 'tf32'),
        ('tensorrt', 'fp16'),
        ('tensorrt', 'bf16'),
        ('compile', 'fp32'),
        ('compile', 'fp16'),
        ('compile', 'bf16'),
    ],
)
def test_an_engine_takes_over_in_a_graph_and_agrees(
    gpu: torch.device, weights: str, tmp_path: Path, backend: str, precision: str
) -> None:
    """Or there is no engine for a known reason: then all goes on, and nothing is tried again."""
    require(backend, gpu, precision)
    module = RESNET.load(weights=weights, device=gpu)
    with serving(tmp_path / 'engines', gpu, weights, backend, precision) as (context, model, x):
        assert until_told(lambda: note(context), lambda: model(x)) > 0
        told = note(context)
        print(f'{backend} {precision}: {told}')
        became = outcome(told, backend, precision)
        check = check_engine if became == 'ready' else check_network
        check(model, x, module, precision)
    began = time.monotonic()
    again = serving(tmp_path / 'engines', gpu, weights, backend, precision, FAILS)
    with again as (context, model, x):
        model(x)
        torch.cuda.synchronize()
        print(f'{backend} {precision}: second start {time.monotonic() - began:.2f} s')
        assert note(context) == told
        if became != 'ready':
            check_network(model, x, module, precision)
    if became == 'crashed':
        reason = crash_of_torch()
        assert reason, f'torch alone does not crash here, but {told}'
        pytest.xfail(reason)


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_auto_keeps_the_fastest_that_agrees(
    gpu: torch.device, weights: str, tmp_path: Path, precision: str
) -> None:
    if not usable(gpu, precision):
        reasons = [c.problem(gpu, precision) for c in COMPILERS.values()]
        pytest.skip(f'nothing to choose from: {"; ".join(reasons)}')
    folder = tmp_path / 'engines'
    with serving(folder, gpu, weights, 'auto', precision) as (context, model, x):
        until_told(lambda: note(context), lambda: model(x))
        assert note(context).startswith('ready'), note(context)
    (choice,) = [e for e in EngineStore(folder, 1024).entries() if e.key.backend == 'auto']
    print(json.dumps(choice.facts, indent=1))
    tried = {line.partition(':')[0] for line in choice.facts['candidates']}
    assert tried == {'eager', 'cuda_graph', *usable(gpu, precision)}
    milliseconds = {
        line.partition(':')[0]: float(line.split()[1])
        for line in choice.facts['candidates']
        if ' ms,' in line
    }
    assert choice.facts['chosen'] == min(milliseconds, key=lambda name: milliseconds[name])
    with serving(folder, gpu, weights, 'auto', precision, FAILS) as (context, model, x):
        assert note(context).startswith(f'ready: {choice.facts["chosen"]} {precision}')
        model(x)


def test_tensorrt_leaves_no_switch_on(gpu: torch.device) -> None:
    require('tensorrt', gpu, 'fp16')
    from gpu_runtime.engines.tensorrt_library import torch_tensorrt

    assert not torch_tensorrt().runtime.get_cudagraphs_mode()


def test_tf32_of_one_network_leaves_another_exact(gpu: torch.device) -> None:
    """Errors against float64: of TF32's ten bits in one, of float32's in the other."""
    if torch.cuda.get_device_capability(gpu) < (8, 0):
        pytest.skip('TF32 needs compute capability 8.0')
    context = GpuContext(str(gpu))
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(64, 64, 3).to(gpu).eval()
    exact = torch.nn.Conv2d(64, 64, 3).to(gpu).eval()
    exact.load_state_dict(layer.state_dict())
    fast = bring_to(layer, 'tf32', SourceKind.TORCHVISION)
    x = torch.rand(1, 64, 56, 56, device=gpu)
    models = {
        name: CudaGraphModel(Forward(module), gpu, context.capture_lock)
        for name, module in (('fast', fast), ('exact', exact))
    }
    with torch.inference_mode():
        reference = torch.nn.functional.conv2d(
            x.double(), exact.weight.double(), exact.bias.double()
        )
        errors = {}
        for name, model in models.items():
            model.prepare((x,))
            (got,) = model(x)
            errors[name] = float((got.double() - reference).norm() / reference.norm())
    for model in models.values():
        model.close()
    context.close()
    assert errors['exact'] < 1e-5 < errors['fast'] < 20 * 2.0**-11, errors
