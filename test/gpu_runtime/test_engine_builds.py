# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Builds in a process of their own: what it tells, how it fails, and that it ends."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import sys
import textwrap
import threading
import time

import pytest
import torch

from gpu_runtime.engines import EngineBuilds
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.build_process import run_build
from gpu_runtime.errors import EngineError
from gpu_runtime.metrics import Metrics

REPORT = """
    import json, pathlib, sys
    found = [{'backend': 'compile', 'ms': 1.5, 'error': 0.0, 'limit': 1e-4}]
    pathlib.Path(sys.argv[1], 'report.json').write_text(json.dumps(found))
"""


def build(folder: Path, script: str, stop: threading.Event | None = None) -> list[str]:
    """Run a builder, and return what it tells."""
    told: list[str] = []
    command = [sys.executable, '-S', '-c', textwrap.dedent(script)]
    stop = stop or threading.Event()
    run_build(folder, progress=told.append, cancelled=stop.is_set, command=command)
    return told


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'


def wait_for(file: Path) -> int:
    """Return the process id that a script writes down."""
    end = time.monotonic() + 90.0
    while not (file.exists() and file.read_text(encoding='utf-8').endswith('.')):
        assert time.monotonic() < end, f'{file} does not come'
        time.sleep(0.01)
    return int(file.read_text(encoding='utf-8')[:-1])


def test_it_tells_what_it_does_and_reports(tmp_path: Path) -> None:
    script = 'print("compiling", flush=True)\nimport time; time.sleep(0.5)' + textwrap.dedent(
        REPORT
    )
    told = build(tmp_path, script)
    assert told[0].startswith('starting, ')
    assert any(text.startswith('compiling, ') for text in told)


@pytest.mark.parametrize(
    ('script', 'reason'),
    [
        ('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)', 'ended by signal 11: it said'),
        ('import sys; sys.exit("weights differ")', '^weights differ$'),
        (
            'import os, sys; print("no memory", file=sys.stderr, flush=True); os._exit(7)',
            'ended with status 7: no memory',
        ),
    ],
)
def test_whatever_becomes_of_the_process_is_an_error_with_the_reason(
    tmp_path: Path, script: str, reason: str
) -> None:
    with pytest.raises(EngineError, match=reason):
        build(tmp_path, script)


def test_giving_up_ends_it_and_what_it_started(tmp_path: Path) -> None:
    """As a compiler runs others."""
    script = f"""
        import subprocess, sys, pathlib
        inner = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])
        pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{inner.pid}}.')
        inner.wait()
    """
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            build(tmp_path, script, stop)
        except EngineError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    inner = wait_for(tmp_path / 'pid')
    assert alive(inner)
    stop.set()
    thread.join(30.0)
    assert not thread.is_alive()
    assert 'given up' in errors[0]
    end = time.monotonic() + 10.0
    while alive(inner) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(inner)


@pytest.mark.slow
def test_the_builder_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed, so that nothing can clean up."""
    script = f"""
        import pathlib, threading, os
        from gpu_runtime.engines import builder
        threading.Thread(target=builder._end_with_parent).start()
        pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}}.')
    """
    command = [sys.executable, '-c', textwrap.dedent(script)]
    parent = os.fork()
    if parent == 0:
        try:
            run_build(
                tmp_path, progress=lambda text: None, cancelled=lambda: False, command=command
            )
        finally:
            os._exit(0)
    try:
        builder = wait_for(tmp_path / 'pid')
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    end = time.monotonic() + 20.0
    while alive(builder) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(builder)


@pytest.fixture
def builds(tmp_path: Path) -> Iterator[EngineBuilds]:
    """Return the builds of a process on the CPU."""
    store = EngineStore(tmp_path / 'engines', 4)
    builds = EngineBuilds(torch.device('cpu'), store, Metrics())
    yield builds
    builds.close()


def test_one_process_builds_at_a_time(builds: EngineBuilds, tmp_path: Path) -> None:
    builds.store.open()
    other = os.fork()
    if other == 0:
        with builds.turn(lambda: False):
            (tmp_path / 'held').write_text('1.', encoding='utf-8')
            time.sleep(600.0)
        os._exit(0)
    try:
        wait_for(tmp_path / 'held')
        with pytest.raises(EngineError, match='given up'), builds.turn(lambda: True):
            pytest.fail('two processes build at once')
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    with builds.turn(lambda: False):
        pass  # the lock went with the process


def test_work_that_fails_does_not_end_the_thread(builds: EngineBuilds) -> None:
    done = threading.Event()

    def fail() -> None:
        raise RuntimeError('this one')

    builds.submit(fail)
    builds.submit(done.set)
    assert done.wait(10.0)


def test_states_of_several_networks_of_a_stage_are_one_note(builds: EngineBuilds) -> None:
    def note() -> str | None:
        return builds._metrics.stage('/stage').snapshot().notes.get('engine')

    builds.tell('/stage', 'a.onnx', 'ready: compile fp32')
    assert note() == 'ready: compile fp32'
    builds.tell('/stage', 'b.onnx', 'failed: no room')
    assert note() == 'a.onnx: ready: compile fp32; b.onnx: failed: no room'
    builds.tell('/stage', 'a.onnx', '')
    builds.tell('/stage', 'b.onnx', '')
    assert note() is None
    builds.tell('', 'a.onnx', 'of no stage')
    assert not [name for name in builds._metrics.snapshot() if name != '/stage']
