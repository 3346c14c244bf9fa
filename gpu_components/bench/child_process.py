# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A process of the benchmark, and the way to talk to it: one JSON object a line, both ways.

Whoever is talked to answers with :func:`~gpu_components.bench.serve.serve`; contenders are not
talked to at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
from pathlib import Path
import queue
import signal
import subprocess
import threading
from typing import Any

from gpu_runtime.errors import LifecycleError

END_S = 20.0


class ChildProcess:
    """
    A running process; :meth:`close` ends it.

    Parameters
    ----------
    name : str
        For reports and messages.
    command : sequence of str
        What to run.
    environment : Mapping of str to str
        All of its environment.
    log : pathlib.Path
        Gets what it writes to its standard error, and its standard output if it is not talked to.
    talks : bool
        Whether it reads requests.

    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        talks: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        with log.open('ab') as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else out,
                stderr=out,
                env=dict(environment),
            )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        if talks:
            threading.Thread(target=self._read, name=f'answers of {name}', daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b'')

    def require_alive(self) -> None:
        """
        Raise if the process has ended.

        Raises
        ------
        LifecycleError
            With the end of its log.

        """
        if self._process.poll() is not None:
            raise LifecycleError(
                f'{self.name} ended with {self._process.returncode}; its log {self.log} ends:\n'
                + '\n'.join(self.log.read_text(errors='replace').splitlines()[-12:])
            )

    def send(self, **request: Any) -> None:
        """
        Send a request; :meth:`receive` returns the answer.

        Parameters
        ----------
        **request
            What JSON can hold.

        """
        self.require_alive()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b'\n')
        self._process.stdin.flush()

    def receive(self, timeout_s: float = 120.0) -> Any:
        """
        Wait for the answer to the oldest request.

        Parameters
        ----------
        timeout_s : float
            Longest wait.

        Returns
        -------
        object
            As the process sent it.

        Raises
        ------
        LifecycleError
            If it ended or did not answer.

        """
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise LifecycleError(
                f'{self.name} did not answer in {timeout_s:.0f} s; see {self.log}'
            ) from None
        if not line:
            self._process.wait(END_S)
            self.require_alive()
        return json.loads(line)

    def ask(self, timeout_s: float = 120.0, **request: Any) -> Any:
        """
        Send a request and wait for its answer.

        Parameters
        ----------
        timeout_s : float
            Longest wait.
        **request
            What JSON can hold.

        Returns
        -------
        object
            As the process sent it.

        """
        self.send(**request)
        return self.receive(timeout_s)

    def close(self) -> None:
        """
        End the process as Ctrl-C does, and by force if it stays; blocks until it has ended.

        Whoever is talked to ends with its standard input too: a shell lets what it starts in the
        background ignore Ctrl-C, and all that starts from there.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
