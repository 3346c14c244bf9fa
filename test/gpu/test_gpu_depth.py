# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The depth estimator on a GPU: the same depth as on a CPU, no allocation, no waiting."""

from __future__ import annotations

from collections.abc import Iterator
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from gpu_components.depth_estimator import DepthEstimator
from gpu_components.depth_estimator import DepthEstimatorParameters
from gpu_components.output import Result
from gpu_runtime import GpuContext
from gpu_runtime import Header
from gpu_runtime import ImageFormat
from gpu_runtime.camera_model import CameraModel

pytestmark = [pytest.mark.gpu, pytest.mark.shared]

FRAMES = 50
CAMERA = CameraModel(
    640,
    480,
    'camera_optical',
    'plumb_bob',
    (-0.1, 0.02, 0.0, 0.0, 0.0),
    (518.0, 0.0, 325.5, 0.0, 519.0, 253.5, 0.0, 0.0, 1.0),
)


class Bench:
    """An estimator without ROS around it, of which everything is wanted."""

    def __init__(self, device: object, model: str, **params: Any) -> None:
        self.context = GpuContext(str(device))
        self.stream = self.context.streams.lease('test')
        self.estimator = DepthEstimator(
            self.context, logging.getLogger('test'), lambda topic: True
        )
        self.estimator.calibration = lambda stamp_ns: CAMERA
        values = {'model': model, 'normalization': 'unit', **params}
        self.estimator.params = DepthEstimatorParameters(**values)
        self.account = self.context.budget.open('test')
        with self.account.use():
            self.estimator.prepared = self.estimator.prepare(self.estimator.params)

    def submit(self, picture: Any) -> dict[str, Any]:
        """Enqueue a picture and return the downloads of its outputs."""
        height, width = picture.shape[:2]
        layout = ImageFormat(width, height, 'bgr8', width * 3)
        frame = self.context.frame(Header(0, ''), layout, picture)
        with self.stream, torch.inference_mode():
            results = self.estimator.compute(frame, self.stream)
            return {
                topic: self.context.transfers.download(
                    result.tensors if isinstance(result, Result) else (result.data,), self.stream
                )
                for topic, result in results.items()
            }

    def outputs(self, picture: Any) -> dict[str, Any]:
        """Return the bytes of every output of a picture."""
        arrays = {}
        for topic, download in self.submit(picture).items():
            download.wait()
            arrays[topic] = download.arrays[0].copy()
            download.release()
        return arrays

    def close(self) -> list[str]:
        """Give everything back and say what leaked."""
        self.estimator.prepared.close()
        self.context.streams.release(self.stream)
        self.context.budget.close_account(self.account)
        return self.context.close()


@pytest.fixture
def model(shared_dir: Path) -> str:
    """Return a network of indoor depth in metres."""
    return str(shared_dir / 'models/depth/fastdepth_pruned_nyu_224.onnx')


@pytest.fixture
def room(shared_dir: Path) -> Any:
    """Read a photograph of a depth camera, in BGR."""
    return cv2.imread(str(shared_dir / 'data/rgbd/color/1.png'))


@pytest.fixture
def bench(gpu: torch.device, model: str) -> Iterator[Bench]:
    """Prepare the estimator on the GPU."""
    bench = Bench(gpu, model)
    yield bench
    assert bench.close() == []


@pytest.mark.parametrize(('backend', 'precision', 'tolerance'), [
    ('eager', 'fp32', 0.01), ('cuda_graph', 'fp32', 0.01), ('cuda_graph', 'fp16', 0.02)
])  # fmt: skip
def test_same_depth_as_on_the_cpu(
    gpu: torch.device, model: str, room: Any, backend: str, precision: str, tolerance: float
) -> None:
    """Mean relative difference; points lie on the map, and colours are close."""
    reference = Bench('cpu', model)
    candidate = Bench(gpu, model, backend=backend, precision=precision)
    expected, found = reference.outputs(room), candidate.outputs(room)
    assert candidate.close() == reference.close() == []
    want = expected['gpu_depth_map'].view(np.float32)
    got = found['gpu_depth_map'].view(np.float32).reshape(480, 640)
    difference = float(np.nanmean(np.abs(got.reshape(-1) - want) / want))
    print(f'{backend} {precision}: {difference:.5f}')
    assert difference < tolerance
    np.testing.assert_array_equal(found['points'][..., 2].view(np.float32), got[::2, ::2])
    assert np.array_equal(found['points'][..., 3], expected['points'][..., 3])
    colors = [o['gpu_depth_color'].astype(int) for o in (expected, found)]
    assert np.abs(colors[0] - colors[1]).mean() < 4.0


def test_steady_state_neither_allocates_nor_waits(bench: Bench, room: Any) -> None:
    """No device memory is taken and no call blocks the host after warm-up, points included."""
    for _ in range(10):
        bench.outputs(room)
    pinned = bench.context.pinned.report().allocations
    before = torch.cuda.memory_stats()
    for _ in range(FRAMES):
        torch.cuda.set_sync_debug_mode('error')
        try:
            downloads = bench.submit(room)
        finally:
            torch.cuda.set_sync_debug_mode('default')
        for download in downloads.values():
            download.wait()
            download.release()
    after = torch.cuda.memory_stats()
    assert after['num_device_alloc'] == before['num_device_alloc']
    assert after['reserved_bytes.all.current'] == before['reserved_bytes.all.current']
    assert bench.context.pinned.report().allocations == pinned
