# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Builds in a process of their own: what it tells, how it fails, and that it ends."""

from __future__ import annotations

from collections.abc import Callable
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

from gpu_runtime.engines import build_process
from gpu_runtime.engines import EngineBuilds
from gpu_runtime.engines import EngineStore
from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.engines.build_process import run_build
from gpu_runtime.engines.build_report import BuildReport
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.errors import EngineError
from gpu_runtime.metrics import Metrics

REPORT = """
    import json, pathlib, sys
    file = pathlib.Path(sys.argv[1], 'report.json')
    report = json.loads(file.read_text()) if file.exists() else {'candidates': []}
    def write(**more):
        file.write_text(json.dumps({**report, **more}))
"""
COMPLETE = """
    report['candidates'].append({'backend': 'eager', 'ms': 1.5, 'error': 0.0, 'limit': 1e-4})
    write(complete=True)
"""
DEADLY = """
    import os, signal
    print('trying', flush=True)
    failed = [candidate['backend'] for candidate in report['candidates'] if candidate['problem']]
    for name in [name for name in ('tensorrt', 'compile') if name not in failed][:1]:
        write(trying=name)
        {end}
"""
DIES = 'os.kill(os.getpid(), signal.SIGSEGV)'


def build(folder: Path, script: str, stop: threading.Event | None = None) -> list[str]:
    """Run a builder, and return what it tells."""
    told: list[str] = []
    stop = stop or threading.Event()
    command = [sys.executable, '-S', '-c', textwrap.dedent(script)]
    run_build(folder, progress=told.append, cancelled=stop.is_set, command=command)
    return told


def rebuild(
    folder: Path,
    end: str,
    backend: str = 'auto',
    cancelled: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Run a builder whose compilers end it; returns what was found out."""
    BuildOrder('onnx', 'a.onnx', 'DEFAULT', False, backend, 'fp32', 'cpu').write(folder)
    script = textwrap.dedent(REPORT + DEADLY.replace('{end}', end) + COMPLETE)
    found = run_build(
        folder,
        progress=lambda text: None,
        cancelled=cancelled,
        command=[sys.executable, '-S', '-c', script],
    )
    return [str(candidate) for candidate in found]


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
    doing = '\n    print("compiling", flush=True)\n    import time; time.sleep(0.5)\n'
    told = build(tmp_path, doing + REPORT + COMPLETE)
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


def test_a_compiler_that_ends_the_builder_costs_only_itself(tmp_path: Path) -> None:
    assert rebuild(tmp_path, DIES) == [
        'tensorrt: the builder was ended by signal 11 while it tried tensorrt',
        'compile: the builder was ended by signal 11 while it tried compile',
        'eager: 1.5 ms, error 0.0e+00 of 1.0e-04 allowed',
    ]


def test_an_end_without_a_signal_is_the_compilers_too(tmp_path: Path) -> None:
    found = rebuild(tmp_path, 'os._exit(3 * (name == "compile"))')
    assert found[:2] == [
        'tensorrt: the builder ended with status 0 while it tried tensorrt',
        'compile: the builder ended with status 3 while it tried compile',
    ]


def test_nothing_is_started_again_where_nothing_else_was_asked_for(tmp_path: Path) -> None:
    (found,) = rebuild(tmp_path, DIES, backend='tensorrt')
    assert found == 'tensorrt: the builder was ended by signal 11 while it tried tensorrt'


def test_a_builder_that_is_asked_to_end_blames_no_compiler(tmp_path: Path) -> None:
    """As when the machine shuts down: what is remembered would be wrong at the next start."""
    with pytest.raises(EngineError, match='the builder was ended by signal 15: '):
        rebuild(tmp_path, 'os.kill(os.getpid(), signal.SIGTERM)')


def test_a_compiler_is_tried_once_whatever_the_builder_does(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match='the builder was ended by signal 11: '):
        rebuild(tmp_path, f'write(trying="compile"); {DIES}')


def test_the_time_limit_is_that_of_all_processes_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_process, 'LONGEST_S', 3.0)
    with pytest.raises(EngineError, match='took longer than 3 s while trying'):
        rebuild(tmp_path, f'import time; time.sleep(2.0); {DIES}')
    assert BuildReport.read(tmp_path).candidates[0].backend == 'tensorrt'


def test_giving_up_holds_for_the_processes_that_follow(tmp_path: Path) -> None:
    def cancelled() -> bool:
        return bool(BuildReport.read(tmp_path).candidates)

    with pytest.raises(EngineError, match='given up'):
        rebuild(tmp_path, f'import time; time.sleep(0.5); {DIES}', cancelled=cancelled)
    assert len(BuildReport.read(tmp_path).candidates) == 1


def test_what_a_compiler_said_goes_before_what_became_of_the_process(tmp_path: Path) -> None:
    """As where an error of CUDA is lasting, and the process ends for it."""
    said = Candidate('compile', problem='AcceleratorError: an illegal memory access')
    BuildReport((Candidate('eager'), said), trying='compile').write(tmp_path)
    report = BuildReport.read(tmp_path).blame('the builder ended with status 1')
    assert report == BuildReport((Candidate('eager'), said))


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
