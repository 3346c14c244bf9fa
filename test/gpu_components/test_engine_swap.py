# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A component whose network gets an engine while pictures flow, and what people see of it."""

from __future__ import annotations

from collections.abc import Iterator
import io
import json
from pathlib import Path
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from probe import Host
from probe import set_parameter
import pytest
from quick_builder import COMMAND
from quick_builder import QuickCompiler
from rclpy.context import Context
from rich.console import Console
from tiny_onnx import tiny_onnx

from gpu_components.cli import main
from gpu_components.diagnostics import _verdict
from gpu_components.engines_command import list_engines
from gpu_components.image_classifier import ImageClassifier
from gpu_runtime.engines import EngineBuilds
from gpu_runtime.engines import EngineKey
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.compilers import COMPILERS

FAILS = (sys.executable, '-S', '-c', 'import sys; sys.exit("no room left")')
NAME = '/classifier'


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a network, and let it be compiled quickly."""
    monkeypatch.setitem(COMPILERS, 'compile', QuickCompiler())
    return tiny_onnx(tmp_path / 'tiny.onnx')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the store."""
    return tmp_path / 'engines'


def with_engines(host: Host, folder: Path, command: tuple[str, ...] = COMMAND) -> None:
    """Give a host a store."""
    host.gpu.engines = EngineBuilds(
        host.gpu.device, EngineStore(folder, 64), host.gpu.metrics, command
    )


@pytest.fixture
def again(context: Context) -> Iterator[Host]:
    """Make a second host, as the next start of the process."""
    host = Host(context)
    yield host
    assert host.close() == []


def note(host: Host) -> str:
    """Return what is told of the engine."""
    return host.metrics(NAME).notes.get('engine', '')


def classify(host: Host, model: str, **more: Any) -> Any:
    """Load the component with its network compiled."""
    options = {'normalization': 'unit', 'publish': 'always', 'input_depth': 1000, **more}
    return host.load(ImageClassifier, 'classifier', model=model, backend='compile', **options)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_picture_is_lost_while_the_engine_takes_over(
    host: Host, again: Host, model: str, folder: Path
) -> None:
    """A stage that waited for the build, or for the swap, would answer late or never."""
    with_engines(host, folder)
    began = time.monotonic()
    node = classify(host, model)
    sent = 0
    while not note(host).startswith('ready') or sent < 20:
        assert not note(host).startswith('failed'), note(host)
        sent += 1
        host.push(sent)
        host.wait_count('processed', sent, NAME)
        time.sleep(0.02)
    built_s = time.monotonic() - began
    network = node.component.prepared.model
    assert len(network._engines) == 1
    for _ in range(20):
        sent += 1
        host.push(sent)
    host.wait_count('processed', sent, NAME)
    assert not network._taking_over  # the engine has answered
    counts = host.metrics(NAME).counts
    assert counts['processed'] == counts['received'] == sent
    assert host.metrics(NAME).dropped == 0

    with_engines(again, folder, FAILS)
    began = time.monotonic()
    classify(again, model)
    again.push(1)
    again.wait_count('processed', 1, NAME)
    assert note(again).startswith('ready: compile fp32')
    assert time.monotonic() - began < built_s / 2


def test_a_build_that_fails_is_told_and_costs_nothing(
    host: Host, model: str, folder: Path
) -> None:
    with_engines(host, folder, FAILS)
    node = classify(host, model)
    sent = 0
    while not note(host).startswith('failed'):
        sent += 1
        host.push(sent)
        host.wait_count('processed', sent, NAME)
    assert note(host) == 'failed: no room left'
    level, text = _verdict(host.metrics(NAME), None, node.state, slow=False)
    assert (level, text) == (DiagnosticStatus.WARN, 'engine failed: no room left')
    host.push(sent + 1)
    host.wait_count('processed', sent + 1, NAME)
    assert host.metrics(NAME).dropped == 0


def test_without_a_store_a_change_to_an_engine_is_refused(host: Host, model: str) -> None:
    node = host.load(ImageClassifier, 'classifier', model=model, normalization='unit')
    result = set_parameter(node, 'backend', 'compile')
    assert not result.successful
    assert 'engine_store_mb' in result.reason
    for name, value in (('backend', 'tensorrt'), ('precision', 'tf32'), ('precision', 'bf16')):
        result = set_parameter(node, name, value)
        assert not result.successful
        assert 'needs a CUDA device' in result.reason
    assert node.state == 'active'


def add_engine(folder: Path, model: str, backend: str = 'compile', **more: str) -> str:
    """Put an engine into the store; returns its digest."""
    inputs = 'float32 (1, 3, 32, 32)'
    key = EngineKey(model, backend, 'fp32', inputs, 'cpu', 'graph', 'weights', 'torch 2')
    store = EngineStore(folder, 64)
    with store.aside() as aside:
        (aside / 'built').write_bytes(b'engine')
        facts = {'candidates': ['eager: 2 ms, error 0', f'{backend}: 1 ms, error 0'], **more}
        store.add(key, aside / 'built', facts)
    return key.digest


def listed(folder: Path, **options: bool) -> tuple[int, str]:
    """Return exit status and text of the list."""
    out = io.StringIO()
    status = list_engines(folder, console=Console(file=out, width=200), **options)
    return status, out.getvalue()


def test_the_list_of_engines(folder: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(folder) == (0, f'no engines in {folder}\n')
    digest = add_engine(folder, model)
    status, text = listed(folder)
    assert status == 0
    for word in ('tiny.onnx', 'compile fp32', 'float32 (1, 3, 32, 32)', 'kept', 'eager: 2 ms'):
        assert word in text
    (row,) = json.loads(listed(folder, as_json=True)[1])
    assert row['digest'] == digest
    assert row['facts']['candidates'][1] == 'compile: 1 ms, error 0'
    assert listed(folder, check=True)[0] == 0
    (folder / digest / 'engine').write_bytes(b'else')
    status, text = listed(folder, check=True)
    assert status == 1
    assert 'damaged' in text
    folder.chmod(0o777)
    assert main(['models', '--engines', '--engine-store', str(folder)]) == 1
    assert f'chmod 700 {folder}' in capsys.readouterr().err.replace('\n', '')


def test_the_list_tells_what_failed_and_how_to_have_it_tried_again(
    folder: Path, model: str
) -> None:
    add_engine(folder, model)
    digest = add_engine(folder, model, 'tensorrt', problem='tensorrt: it crashed')
    for check in (False, True):
        status, text = listed(folder, check=check)
        assert status == 0
        assert text.count('failed ') == 2
        assert text.endswith(f'to have what failed tried again, remove {folder / digest}\n')
    (folder / digest / 'engine').write_bytes(b'else')
    assert listed(folder, check=True)[0] == 1
