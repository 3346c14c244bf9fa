# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Networks whose compiler crashes: they serve on, and it is not tried again."""

from __future__ import annotations

from pathlib import Path
import shutil

from engine_serving import auto
from engine_serving import FAILS
from engine_serving import Serving
import pytest
from quick_builder import COMMAND
from quick_builder import QuickCompiler
import torch

from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.compilers import COMPILERS

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow, pytest.mark.usefixtures('quick')]


def test_auto_does_without_compilers_that_crash_the_builder(
    tmp_path: Path, model_file: str, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in build and one in load, among one that works; the next start builds nothing."""
    monkeypatch.setenv('QUICK_COMPILERS', 'fault:build tensorrt:works compile:load')
    monkeypatch.setitem(COMPILERS, 'fault', QuickCompiler('build'))
    monkeypatch.setitem(COMPILERS, 'tensorrt', QuickCompiler())
    for command in (COMMAND, FAILS):
        with Serving(tmp_path / 'engines', model_file, command, 'eager') as serving:
            with serving.account.use():
                serving.model = auto(serving, model_file)
            serving.prepare(x)
            serving.until('ready: ', x)
    kept = {entry.key.backend: entry for entry in EngineStore(tmp_path / 'engines', 1).entries()}
    facts = kept['auto'].facts
    lines = {line.partition(': ')[0]: line.partition(': ')[2] for line in facts['candidates']}
    assert lines['fault'] == 'the builder was ended by signal 11 while it tried fault'
    assert lines['compile'] == 'the builder was ended by signal 6 while it tried compile'
    assert ' ms, ' in lines['eager']
    assert ' ms, ' in lines['tensorrt'], 'it was built again'
    assert facts['chosen'] in ('eager', 'tensorrt')
    assert set(kept) == {'auto', facts['chosen']} - {'eager'}


@pytest.mark.parametrize(('where', 'number'), [('build', 11), ('load', 6)])
def test_a_crash_of_the_compiler_asked_for_is_told_and_remembered(
    tmp_path: Path,
    model_file: str,
    x: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    number: int,
) -> None:
    monkeypatch.setenv('QUICK_COMPILERS', f'compile:{where}')
    folder = tmp_path / 'engines'
    reason = f'failed: compile: the builder was ended by signal {number} while it tried compile'
    with Serving(folder, model_file) as serving:
        serving.prepare(x)
        serving.until(reason, x)
        assert serving.model(x)[0].shape == (1, 10)
    (entry,) = EngineStore(folder, 1).entries()
    with Serving(folder, model_file, FAILS) as serving:
        serving.prepare(x)
        assert serving.note == f'{reason}; to have it tried again, remove {entry.folder}'
        assert serving.model(x)[0].shape == (1, 10)
    shutil.rmtree(entry.folder)
    with Serving(folder, model_file, FAILS) as serving:
        serving.prepare(x)
        serving.until('failed: nothing is built here', x)
