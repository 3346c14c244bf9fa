# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the builder finds out: which backends work, how far they are off, and which is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import shutil

import pytest
from quick_builder import QuickCompiler
from tiny_onnx import tiny_onnx
import torch

from gpu_runtime.engines import builder
from gpu_runtime.engines import compare
from gpu_runtime.engines import measure
from gpu_runtime.engines import TOLERANCES
from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.engines.build_order import INPUTS
from gpu_runtime.engines.build_order import STATE
from gpu_runtime.engines.build_report import BuildReport
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.engines.candidate import fastest
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.engines.fingerprint import graph_hash
from gpu_runtime.engines.fingerprint import library_versions
from gpu_runtime.engines.fingerprint import weights_hash
from gpu_runtime.engines.inductor_compiler import InductorCompiler
from gpu_runtime.engines.tensorrt_compiler import count_parts
from gpu_runtime.engines.tensorrt_compiler import TensorrtCompiler
from gpu_runtime.errors import EngineError
from gpu_runtime.models import ModelSource

CPU = torch.device('cpu')
CUDA = torch.device('cuda', 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an order for everything that is usable."""
    return ordered(tmp_path, tiny_onnx(tmp_path / 'tiny.onnx'), 'onnx')


def ordered(folder: Path, name: str, kind: str, **more: str) -> Path:
    """Write an order down."""
    source = f'torchvision/{name}' if kind == 'torchvision' else name
    weights = 'none' if kind == 'torchvision' else 'DEFAULT'
    module = ModelSource.parse(source).load(weights=weights, device=CPU)
    values = {
        'backend': 'auto',
        'graph': graph_hash(module, name),
        'state': weights_hash(module),
        **more,
    }
    BuildOrder(
        kind=kind,
        name=name,
        weights=weights,
        allow_unsafe_models=False,
        precision='fp32',
        device='cpu',
        **values,
    ).write(folder)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.save([x], folder / INPUTS)
    if weights == 'none':
        torch.save(module.state_dict(), folder / STATE)
    return folder


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure few calls."""
    monkeypatch.setattr(measure, 'ROUNDS', 2)
    monkeypatch.setattr(measure, 'WARM_UP', 1)


def compilers(monkeypatch: pytest.MonkeyPatch, **usable: object) -> None:
    """Make these and no others usable."""
    for name in list(COMPILERS):
        monkeypatch.delitem(COMPILERS, name)
    for name, compiler in usable.items():
        monkeypatch.setitem(COMPILERS, name, compiler)  # type: ignore[arg-type]


class Broken(QuickCompiler):
    """Cannot compile anything."""

    def build(self, *_: object) -> str:
        """Raise as compilers do."""
        raise NotImplementedError('no kernel for Reshape\nand a long story')


def test_what_works_and_agrees_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compilers(monkeypatch, compile=QuickCompiler(), tensorrt=Broken())
    found = {candidate.backend: candidate for candidate in builder.Builder(folder).run()}
    assert list(found) == ['eager', 'compile', 'tensorrt']
    assert found['eager'].error == 0.0
    assert found['compile'].usable
    assert found['compile'].ms > 0.0
    assert found['compile'].remark == 'quick'
    assert found['tensorrt'].problem == 'NotImplementedError: no kernel for Reshape'
    assert not found['tensorrt'].usable
    assert str(found['tensorrt']) == 'tensorrt: NotImplementedError: no kernel for Reshape'


def test_what_is_built_is_loaded_and_what_crashed_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that follows one which a compiler ended; a quick one builds only once."""
    compilers(monkeypatch, tensorrt=QuickCompiler(), compile=QuickCompiler())
    builder.Builder(folder).run()
    report = BuildReport.read(folder)
    assert report.trying == ''
    assert not report.complete
    replace(report, trying='compile').blame('it crashed').write(folder)
    found = {candidate.backend: candidate for candidate in builder.Builder(folder).run()}
    assert list(found) == ['eager', 'tensorrt', 'compile']
    assert found['tensorrt'].usable
    assert found['tensorrt'].ms > 0.0
    assert found['tensorrt'].remark == 'quick'
    assert found['compile'] == Candidate('compile', problem='it crashed')


def test_what_may_crash_is_tried_last() -> None:
    assert list(COMPILERS) == ['tensorrt', 'compile']


def test_wrong_results_are_not_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compilers(monkeypatch, compile=QuickCompiler('wrong'))
    eager, wrong = builder.Builder(folder).run()
    assert wrong.error == pytest.approx(0.1, rel=1e-3)
    assert not wrong.usable
    assert wrong.ms == 0.0
    assert fastest([eager, wrong]) == eager


def test_random_weights_are_those_of_the_running_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compilers(monkeypatch, compile=QuickCompiler())
    folder = ordered(tmp_path, 'mobilenet_v3_small', 'torchvision', backend='compile')
    assert [c.usable for c in builder.Builder(folder).run()] == [True, True]
    (folder / STATE).unlink()
    with pytest.raises(EngineError, match='is not what it was'):
        builder.Builder(folder).run()


def test_a_file_that_changed_meanwhile_is_refused(folder: Path) -> None:
    other = tiny_onnx(folder / 'other.onnx', seed=1)
    shutil.copy(other, folder / 'tiny.onnx')
    with pytest.raises(EngineError, match=r'is not what it was.*configure the component again'):
        builder.Builder(folder).run()


def test_the_fastest_of_those_that_agree() -> None:
    slow = Candidate('eager', 2.0, 0.0, 1e-4)
    wrong = Candidate('tensorrt', 0.1, 1e-3, 1e-4)
    broken = Candidate('compile', 0.0, 0.0, 1e-4, problem='no compiler')
    fast = Candidate('cuda_graph', 1.0, 1e-5, 1e-4)
    assert fastest([slow, wrong, broken, fast]) == fast
    assert fastest([wrong, broken]) is None
    assert str(wrong) == 'tensorrt: 0.1 ms, error 1.0e-03 of 1.0e-04 allowed'


def test_the_error_is_that_of_the_worst_output() -> None:
    reference = [torch.ones(4), torch.tensor([1, 2, 3, 4]), torch.zeros(0)]
    assert compare(reference, reference, 'fp32').error == 0.0
    near = [torch.ones(4) + 1e-5, reference[1], torch.zeros(0)]
    assert compare(near, reference, 'fp32').ok
    assert not compare([torch.ones(4) * 1.001, *reference[1:]], reference, 'fp32').ok
    assert compare([torch.ones(4) * 1.001, *reference[1:]], reference, 'fp16').ok
    other = [reference[0], torch.tensor([1, 2, 3, 5]), torch.zeros(0)]
    assert compare(other, reference, 'bf16').error == 0.25
    nan = [torch.full((4,), float('nan')), *reference[1:]]
    assert not compare(nan, reference, 'bf16').ok
    with pytest.raises(EngineError, match='as the network'):
        compare(reference[:2], reference, 'fp32')


@pytest.mark.parametrize(
    ('precision', 'dtype'), [('fp16', torch.float16), ('bf16', torch.bfloat16)]
)
def test_networks_in_half_are_within_the_tolerance(precision: str, dtype: torch.dtype) -> None:
    """Of a network of fifty layers; and the tolerance is not so wide that it allows anything."""
    torch.manual_seed(0)
    module = ModelSource.parse('torchvision/resnet18').load(weights='none', device=CPU)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        reference = module(x)
        error = compare([module.to(dtype)(x.to(dtype)).float()], [reference], precision).error
    assert TOLERANCES[precision] / 100 < error < TOLERANCES[precision]


def test_hashes_follow_values_and_layers_not_memory_order() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    before = weights_hash(module), graph_hash(module, 'a')
    module.to(memory_format=torch.channels_last)
    assert (weights_hash(module), graph_hash(module, 'a')) == before
    with torch.no_grad():
        module[0].bias[3] += 1e-6
    assert weights_hash(module) != before[0]
    module.append(torch.nn.ReLU())
    assert graph_hash(module, 'a') != before[1]
    assert graph_hash(module, 'b') != graph_hash(module, 'a')


def test_versions_are_sorted_and_complete() -> None:
    text = library_versions([('zlib', '1'), ('abc', '2')])
    assert text.startswith('abc 2, cuda ')
    assert text.endswith('zlib 1')
    assert f'torch {torch.__version__}' in text


def test_refusals_carry_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorrt, inductor = TensorrtCompiler(), InductorCompiler()
    assert 'needs a CUDA device, got cpu; set backend to auto' in tensorrt.problem(CPU, 'fp32')
    library = 'gpu_runtime.engines.tensorrt_library.installed'
    monkeypatch.setattr(library, dict)
    release = '.'.join(torch.__version__.split('.')[:2])
    assert f'install torch-tensorrt-rtx {release}.*' in tensorrt.problem(CUDA, 'fp16')
    monkeypatch.setattr(library, lambda: {'torch-tensorrt': '2.0.1'})
    assert f'2.0.1 is not for torch {release}' in tensorrt.problem(CUDA, 'fp16')
    monkeypatch.setattr(library, lambda: {'torch-tensorrt-rtx': f'{release}.0'})
    assert tensorrt.problem(CUDA, 'fp16') == ''
    assert 'process-wide switch' in inductor.problem(CUDA, 'tf32')
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert 'no-such-compiler is not found; install g++' in inductor.problem(CPU, 'fp32')


def test_what_tensorrt_left_to_torch_is_counted() -> None:
    """On a graph as Torch-TensorRT leaves it: engines and graphs as children of one module."""

    class FakeTensorRTModule(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    class Rest(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten.nonzero.default(torch.ops.aten.relu.default(x))

    graph = torch.fx.Graph()
    x = graph.placeholder('x')
    first = graph.call_module('_run_on_acc_0', (x,))
    graph.output(graph.call_module('_run_on_gpu_1', (first,)))
    compiled = torch.fx.GraphModule(
        {'_run_on_acc_0': FakeTensorRTModule(), '_run_on_gpu_1': torch.fx.symbolic_trace(Rest())},
        graph,
    )
    engines, left = count_parts(compiled)
    assert engines == 1
    assert dict(left) == {'relu': 1, 'nonzero': 1}
