# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that get an engine while they serve: the whole way, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import shutil
import threading

from engine_serving import auto
from engine_serving import FAILS
from engine_serving import HANGS
from engine_serving import Serving
import pytest
from quick_builder import QuickCompiler
from tiny_onnx import tiny_onnx
import torch

from gpu_runtime.engines import builder
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.engines.compilers import COMPILERS
from gpu_runtime.errors import ModelError
from gpu_runtime.models import EagerModel
from gpu_runtime.models import engine_model
from gpu_runtime.models import EngineModel
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource

pytestmark = [
    pytest.mark.timeout(400),  # the first waits for the builder
    pytest.mark.usefixtures('quick'),
]


@pytest.fixture(scope='module')
def built(
    tmp_path_factory: pytest.TempPathFactory, model_file: str, x: torch.Tensor
) -> Iterator[Serving]:
    """Build once; what was seen meanwhile is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMPILERS, 'compile', QuickCompiler())
        serving = Serving(tmp_path_factory.mktemp('cache') / 'engines', model_file)
        with serving:
            serving.prepare(x)
            assert isinstance(serving.model, EngineModel)
            assert not serving.model._engines
            before = serving.model(x)
            serving.calls = serving.until('ready', x)  # type: ignore[attr-defined]
            assert list(serving.model._engines) == [((x.shape, x.dtype),)]
            torch.testing.assert_close(serving.model(x), before)
    yield serving


@pytest.fixture
def store_folder(built: Serving, tmp_path: Path) -> Path:
    """Return a copy of the store with one engine."""
    return Path(shutil.copytree(built.folder, tmp_path / 'engines'))


def test_the_network_serves_while_its_engine_is_built(built: Serving) -> None:
    assert built.calls > 10  # type: ignore[attr-defined]
    steps = [text.split(', ')[0] for text in built.told]
    assert steps[0].startswith(('waiting to build compile', 'building compile fp32: starting'))
    assert 'building compile fp32: compiling compile' in steps
    assert built.told[-1].startswith('ready: compile fp32 (')
    assert 'error 0.0e+00 of 1.0e-04 allowed; quick' in built.told[-1]


def test_the_second_start_loads_it_and_builds_nothing(
    store_folder: Path, model_file: str, x: torch.Tensor
) -> None:
    with Serving(store_folder, model_file, FAILS) as serving:
        serving.prepare(x)
        assert serving.note.startswith('ready: compile fp32')
        assert len(serving.model._engines) == 1  # type: ignore[attr-defined]
        with Serving(store_folder.parent / 'none', model_file, FAILS, 'eager') as plain:
            torch.testing.assert_close(serving.model(x), plain.model(x))
    assert serving.note == ''


def test_an_engine_is_finished_as_the_network_is(
    store_folder: Path, model_file: str, x: torch.Tensor
) -> None:
    """What follows the network follows its engine too, and is not part of it."""

    def finish(
        outputs: tuple[torch.Tensor, ...], inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        return outputs[0] * 2 + inputs[0].mean(), inputs[0][:, :1]

    with Serving(store_folder, model_file, FAILS) as serving:
        plain = serving.model
        serving.prepare(x)
        want = finish(plain(x), (x,))
        plain.close()
        with serving.account.use():
            serving.model = load_model(
                ModelSource.parse(model_file),
                device=serving.context.device,
                backend='compile',
                capture_lock=serving.context.capture_lock,
                engines=serving.context.engines,
                finish=finish,
            )
        before = serving.model._first(x)  # type: ignore[attr-defined]
        serving.prepare(x)
        assert len(serving.model._engines) == 1  # type: ignore[attr-defined]
        for found in (before, serving.model(x)):
            torch.testing.assert_close(found, want)


def test_a_damaged_engine_is_built_again(
    store_folder: Path, model_file: str, x: torch.Tensor
) -> None:
    (file,) = store_folder.glob('*/engine')
    file.write_bytes(file.read_bytes()[:-1])
    with Serving(store_folder, model_file, FAILS) as serving:
        serving.prepare(x)
        serving.until('failed: nothing is built here', x)
        assert not list(store_folder.glob('*/engine'))


def test_an_engine_that_does_not_load_is_built_again(
    store_folder: Path, model_file: str, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: QuickCompiler, file: Path, device: torch.device) -> None:
        raise RuntimeError('made by another driver')

    monkeypatch.setattr(QuickCompiler, 'load', load)
    with Serving(store_folder, model_file, FAILS) as serving:
        serving.prepare(x)
        serving.until('failed', x)
        assert not list(store_folder.glob('*/engine'))


def test_other_weights_are_another_engine(
    store_folder: Path, tmp_path: Path, x: torch.Tensor
) -> None:
    other = tiny_onnx(tmp_path / 'tiny.onnx', seed=1)
    with Serving(store_folder, other, FAILS) as serving:
        serving.prepare(x)
        serving.until('failed', x)


def test_inputs_of_another_shape_are_served_by_the_network(
    built: Serving, tmp_path: Path, x: torch.Tensor
) -> None:
    file = tiny_onnx(tmp_path / 'open.onnx', side='S')
    with Serving(tmp_path / 'engines', file, FAILS) as serving:
        serving.prepare(x)
        for side in range(16, 32):
            (scores,) = serving.model(torch.rand(1, 3, side, side))
            assert scores.shape == (1, 10)
        assert len(serving.model._ordered) == 4  # type: ignore[attr-defined]


def test_closing_ends_the_build(tmp_path: Path, model_file: str, x: torch.Tensor) -> None:
    with Serving(tmp_path / 'engines', model_file, HANGS) as serving:
        serving.prepare(x)
        serving.until('building', x)
        serving.model.close()
        assert serving.note == ''
        done = threading.Event()
        serving.context.engines.submit(done.set)  # type: ignore[union-attr]
        assert done.wait(20.0)
    assert not list((tmp_path / 'engines').glob('aside-*'))
    assert serving.note == ''


def test_a_store_that_others_write_refuses_the_backend(tmp_path: Path, model_file: str) -> None:
    folder = tmp_path / 'engines'
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ModelError, match=f'backend compile: .*chmod 700 {folder}'):
        Serving(folder, model_file).__enter__()


def test_a_store_that_is_spoilt_later_harms_no_stage(
    tmp_path: Path, model_file: str, x: torch.Tensor
) -> None:
    with Serving(tmp_path / 'engines', model_file) as serving:
        serving.context.engines.store.folder.chmod(0o777)  # type: ignore[union-attr]
        serving.prepare(x)
        assert 'chmod 700' in serving.note
        assert serving.model(x)[0].shape == (1, 10)


def test_on_the_cpu_auto_is_eager_at_once(store_folder: Path, model_file: str) -> None:
    with Serving(store_folder, model_file, FAILS, 'auto') as serving:
        assert isinstance(serving.model, EagerModel)


def test_auto_remembers_what_it_measured(
    tmp_path: Path, model_file: str, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built in this process, with times that are given; the next start follows the choice."""
    times = {'eager': 2.0, 'compile': 1.0}
    monkeypatch.setattr(builder, 'measure', lambda *_: times)
    builds: list[Path] = []

    def run(folder: Path, **_: object) -> list[Candidate]:
        builds.append(folder)
        return builder.Builder(folder).run()

    monkeypatch.setattr(engine_model, 'run_build', run)
    for name, engines in (('compile', 1), ('eager', 0)):
        store = tmp_path / name
        times[name] = 0.5
        for start in range(2):
            with Serving(store, model_file, FAILS, 'eager') as serving:
                with serving.account.use():
                    serving.model = auto(serving, model_file)
                serving.prepare(x)
                serving.until(f'ready: {name} fp32 (0.5 ms', x)
                assert len(serving.model._engines) == engines
            assert len(builds) == 1, f'start {start}'
        kept = EngineStore(store, 1).entries()
        assert {entry.key.backend for entry in kept} == {'auto', 'compile'} - (
            {'compile'} if name == 'eager' else set()
        )
        (choice,) = [entry for entry in kept if entry.key.backend == 'auto']
        assert choice.facts['chosen'] == name
        assert len(choice.facts['candidates']) == 2
        builds.clear()
        times['compile'] = 1.0


def test_a_network_that_was_not_prepared_gets_its_own_engine(
    tmp_path: Path, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the size of the input follows the picture; two networks share the store."""
    monkeypatch.setattr(
        engine_model, 'run_build', lambda folder, **_: builder.Builder(folder).run()
    )
    for seed in range(2):
        file = tiny_onnx(tmp_path / 'tiny.onnx', seed=seed)
        with Serving(tmp_path / 'engines', file) as serving:
            expected = serving.model(x)
            serving.until('ready: compile', x)
            torch.testing.assert_close(serving.model(x), expected)
    assert len(EngineStore(tmp_path / 'engines', 1).entries()) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.real_compiler
def test_inductor_builds_a_converted_network(
    tmp_path: Path, model_file: str, x: torch.Tensor
) -> None:
    """The real compiler, in the real builder; the next start has it at once."""
    from gpu_runtime.engines.build_process import COMMAND as BUILDER

    with Serving(tmp_path / 'engines', model_file, BUILDER) as serving:
        serving.prepare(x)
        expected = serving.model(x)
        serving.until('ready: compile', x, timeout_s=580.0)
        torch.testing.assert_close(serving.model(x), expected)
    with Serving(tmp_path / 'engines', model_file, FAILS) as serving:
        serving.prepare(x)
        assert serving.note.startswith('ready: compile')
        torch.testing.assert_close(serving.model(x), expected)
