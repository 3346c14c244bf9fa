# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Work on the host that the device wakes a thread for."""

from __future__ import annotations

import time

from context_bench import DEVICE
from latch import Latch
import pytest
import torch

from gpu_runtime.completions import LOOK_S
from gpu_runtime.gpu_context import GpuContext

pytestmark = pytest.mark.gpu


def test_the_device_wakes_a_thread(context: GpuContext) -> None:
    """As soon as its work is done, and in the order of the stream."""
    stage, lane = context.streams.lease('stage'), context.completions.lane()
    values, seen = torch.zeros(1, device=DEVICE), []
    values.add_(1).sub_(1)  # to load a kernel while the latch is shut would wait for it
    context.pinned.reserve(4, 3)
    torch.cuda.synchronize()
    with Latch() as latch:
        with stage:
            latch.block(stage)
            for _ in range(3):
                values.add_(1)
                download = context.transfers.download([values], stage)
                lane.submit(
                    download.event,
                    stage,
                    lambda d=download: seen.append((float(d.arrays[0][0]), time.monotonic())),
                )
        time.sleep(0.05)
        assert seen == []
        opened_s = time.monotonic()
        latch.open()
        lane.close()
    assert [value for value, _ in seen] == [1.0, 2.0, 3.0]
    assert seen[-1][1] - opened_s < LOOK_S / 2
    context.streams.release(stage)


def test_a_signal_costs_the_host_microseconds(context: GpuContext) -> None:
    """And the device not much more: the stream goes on."""
    stage, lane = context.streams.lease('stage'), context.completions.lane()
    event = stage.record()
    lane.submit(event, stage, lambda: None)
    began_s = time.perf_counter()
    for _ in range(200):
        lane.submit(event, stage, lambda: None)
    took_s = time.perf_counter() - began_s
    lane.close()
    assert took_s / 200 < 50e-6
    context.streams.release(stage)
