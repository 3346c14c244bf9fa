# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The other end of a :class:`~gpu_components.bench.child_process.ChildProcess`."""

from __future__ import annotations

from collections.abc import Callable
import json
import sys
from typing import Any


def serve(answer: Callable[..., Any]) -> None:
    """
    Answer requests from the standard input until it closes.

    Parameters
    ----------
    answer : callable
        Gets a request's entries as keywords; what it returns is sent back.

    """
    # Requests come and answers go by this descriptor alone: nothing that prints gets in between.
    out = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        out.write(json.dumps(answer(**json.loads(line))) + '\n')
        out.flush()
