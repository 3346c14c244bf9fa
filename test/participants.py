# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Counts the DDS participants of this process: each is in the way of all that come after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
import time

_THREAD_OF_EACH = 'dds.ev.'  # Fast DDS names so the thread of a participant's timers


def participants() -> int:
    """Return how many there are now; 0 with another middleware than Fast DDS."""
    names = []
    for task in Path('/proc/self/task').iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            names.append((task / 'comm').read_text())
    return sum(name.startswith(_THREAD_OF_EACH) for name in names)


@contextmanager
def none_is_left(timeout_s: float = 5.0) -> Iterator[None]:
    """Wait until what is made meanwhile has gone, without the help of the garbage collector."""
    before = participants()
    yield
    end = time.monotonic() + timeout_s
    while (left := participants() - before) > 0:
        assert time.monotonic() < end, (
            f'DDS participants left: {left}; a node, or what was made with it, is not destroyed'
        )
        time.sleep(0.02)
