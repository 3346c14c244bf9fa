# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a build in a process of its own, and reads its report."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import json
import logging
import os
from pathlib import Path
import selectors
import signal
import subprocess
import sys
import time

from gpu_runtime.engines.build_order import REPORT
from gpu_runtime.engines.candidate import Candidate
from gpu_runtime.errors import EngineError

_LOG = logging.getLogger(__name__)

COMMAND: tuple[str, ...] = (sys.executable, '-m', 'gpu_runtime.engines.builder')
"""The builder; the folder follows."""

LONGEST_S = 3600.0
"""A build that takes longer hangs."""

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

    Parameters
    ----------
    folder : Path
        Private; with order and inputs.  Gets engines, report and whatever compilers leave.
    progress : callable
        Told what is being done, with the seconds it took so far, a few times a second.
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
        If the process failed, was ended, or took too long.

    """
    begin_s = time.monotonic()
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
    if process.returncode != 0:
        raise EngineError(_reason(process.returncode, folder / _LOG_FILE))
    report = json.loads((folder / REPORT).read_text(encoding='utf-8'))
    return [Candidate(**found) for found in report]


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
    ended = f'was ended by signal {-code}' if code < 0 else f'ended with status {code}'
    return said if code == 1 else f'the builder {ended}: {said}'
