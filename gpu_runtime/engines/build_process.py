# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a build in processes of its own, and reads their report."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import logging
import os
from pathlib import Path
import selectors
import signal
import subprocess
import sys
import time

from gpu_runtime.engines.build_order import BuildOrder
from gpu_runtime.engines.build_report import BuildReport
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.errors import EngineError

_LOG = logging.getLogger(__name__)

COMMAND: tuple[str, ...] = (sys.executable, '-m', 'gpu_runtime.engines.builder')
"""The builder; the folder follows."""

LONGEST_S = 3600.0
"""A build that takes longer hangs."""

_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Sent by people and by what ends services: no compiler is to blame."""

_LOG_FILE = 'log'
_POLL_S = 0.2
_REASON_LENGTH = 300


def run_build(
    folder: Path,
    *,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    command: Sequence[str] = COMMAND,
) -> list[Candidate]:
    """
    Build what a folder asks for, and wait for it.

    A compiler that ends the process is marked as failed, and the next process goes on without it,
    with the engines that are there.

    Parameters
    ----------
    folder : Path
        Private; with order and inputs.  Gets engines, report and whatever compilers leave.
    progress : callable
        Told what is being done, with the seconds it all took so far, a few times a second.
    cancelled : callable
        Asked as often; True ends the build.
    command : sequence of str
        The builder.

    Returns
    -------
    list of Candidate
        What was tried.  Blocks for as long as it takes.

    Raises
    ------
    EngineError
        If a process failed outside of the compilers or was asked to end, or all together took
        too long.

    """
    begin_s = time.monotonic()
    failed: set[str] = set()
    while True:
        code = _run(folder, begin_s, progress, cancelled, command)
        report = BuildReport.read(folder)
        if code == 0 and report.complete:
            return list(report.candidates)
        culprit, ended = report.trying, _ended(code)
        if not culprit or culprit in failed or -code in _ASKED_TO_END:
            raise EngineError(_reason(code, folder / _LOG_FILE))
        _LOG.warning('the builder %s while it tried %s', ended, culprit)
        failed.add(culprit)
        report = report.blame(f'the builder {ended} while it tried {culprit}')
        if culprit == BuildOrder.read(folder).backend:
            return list(report.candidates)  # nothing else was asked for
        report.write(folder)


def _run(
    folder: Path,
    begin_s: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    command: Sequence[str],
) -> int:
    """Run a builder to its end, and return its status: negative for a signal, as in subprocess."""
    with (folder / _LOG_FILE).open('wb') as log:
        process = subprocess.Popen(
            [*command, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(folder),
            start_new_session=True,
        )
    try:
        _watch(process, begin_s, progress, cancelled)
    finally:
        _end(process)
        _LOG.debug('builder of %s: %s', folder, (folder / _LOG_FILE).read_text(errors='replace'))
    return process.returncode


def _watch(
    process: subprocess.Popen[bytes],
    begin_s: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Follow the process until its output ends."""
    assert process.stdout is not None
    doing = 'starting'
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            elapsed_s = time.monotonic() - begin_s
            progress(f'{doing}, {elapsed_s:.0f} s')
            if cancelled():
                raise EngineError('the build was given up, as nobody waits for it any more')
            if elapsed_s > LONGEST_S:
                raise EngineError(f'the build took longer than {LONGEST_S:.0f} s while {doing}')
            if selector.select(_POLL_S):
                text = os.read(process.stdout.fileno(), 1 << 16)
                if not text:
                    process.wait()
                    return
                lines = text.decode(errors='replace').split('\n')
                doing = next((line for line in reversed(lines) if line), doing)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of the builder: everything it writes goes into its folder."""
    temporary = folder / 'tmp'
    temporary.mkdir(exist_ok=True)
    return {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(path for path in sys.path if path),
        'TMPDIR': str(temporary),
        'TORCHINDUCTOR_CACHE_DIR': str(folder / 'inductor'),
        'TRITON_CACHE_DIR': str(folder / 'triton'),
        # By default one process per core, up to 32, beside the stages that are running.
        'TORCHINDUCTOR_COMPILE_THREADS': '1',
    }


def _reason(code: int, log: Path) -> str:
    lines = [line for line in log.read_text(errors='replace').splitlines() if line.strip()]
    said = lines[-1].strip()[:_REASON_LENGTH] if lines else 'it said nothing'
    return said if code == 1 else f'the builder {_ended(code)}: {said}'


def _ended(code: int) -> str:
    return f'was ended by signal {-code}' if code < 0 else f'ended with status {code}'
