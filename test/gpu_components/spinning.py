# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Spins executors, waits, calls services and runs scripts: what the executor tests share."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.executors import Executor
from rclpy.node import Node

ROOT = Path(__file__).parents[2]
NodeFactory = Callable[[str], Node]


@contextmanager
def spinning(executor: Executor) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield thread
    finally:
        executor.shutdown(10.0)
        thread.join(5.0)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def call(node: Node, srv_type: Any, name: str, request: Any, timeout_s: float = 5.0) -> float:
    """Call a service of another node; give the seconds until the answer came."""
    client: Client[Any, Any] = node.create_client(
        srv_type, name, callback_group=MutuallyExclusiveCallbackGroup()
    )
    assert client.wait_for_service(timeout_s), name
    began = time.monotonic()
    future = client.call_async(request)
    assert wait_until(future.done, timeout_s), name
    assert future.result() is not None
    took = time.monotonic() - began
    node.destroy_client(client)
    return took


@contextmanager
def child(script: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
