# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA graph backend and the decoders, on the device that they are for."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import copy
from pathlib import Path
import subprocess
import sys
import threading

import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import PictureLimits
from gpu_runtime.detection import resolve_preset
from gpu_runtime.detection.centerface_preset import CenterfacePreset
from gpu_runtime.detection.detr_preset import DetrPreset
from gpu_runtime.detection.yolox_preset import YoloxPreset
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource

pytestmark = pytest.mark.gpu

SMALL = ModelSource.parse('torchvision/mobilenet_v3_small')
YOLOX = 'models/detection/yolox_nano_coco_416.onnx'
DEIM = 'models/detection/deimv2_hgnetv2_femto_coco.onnx'


@pytest.fixture(name='gpu')
def device(gpu: str) -> torch.device:
    """Return the device to test on."""
    return torch.device(gpu)


def network(device: torch.device, width: int = 8) -> torch.nn.Module:
    """Return a small network with two outputs, seeded."""
    torch.manual_seed(0)

    class Heads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Conv2d(3, width, 3)
            self.head = torch.nn.Conv2d(width, 2, 1)

        def forward(self, x: torch.Tensor) -> dict:
            y = self.body(x).relu()
            return {'map': self.head(y), 'mean': y.mean(dim=(2, 3))}

    return Heads().eval().to(device)


@contextlib.contextmanager
def no_host_synchronisation() -> Iterator[None]:
    """Turn every wait of the host inside into an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_graph_equals_eager_on_every_input(gpu: torch.device) -> None:
    forward = Forward(network(gpu))
    eager, graph = EagerModel(forward), CudaGraphModel(forward, gpu, threading.Lock())
    graph.prepare((torch.zeros(1, 3, 32, 48, device=gpu),))
    assert graph.captured == 1
    for seed in range(3):
        torch.manual_seed(seed)
        x = torch.rand(1, 3, 32, 48, device=gpu)
        for got, want in zip(graph(x), eager(x), strict=True):
            torch.testing.assert_close(got, want)
    graph(torch.rand(1, 3, 16, 16, device=gpu))
    assert graph.captured == 2
    graph.close()
    graph.close()


def test_a_graph_prepared_for_a_guess_goes_when_other_inputs_come(gpu: torch.device) -> None:
    model = CudaGraphModel(Forward(network(gpu)), gpu, threading.Lock())
    small, large = (torch.rand(1, 3, side, side, device=gpu) for side in (16, 32))
    model.prepare((small,))
    model(small)  # a warm-up tries what it has prepared
    model(large)
    assert model.captured == 1
    for _ in range(2):
        model(small)
    model(torch.rand(1, 3, 24, 24, device=gpu))
    assert model.captured == 3, 'what was called was no guess'
    model.close()


def test_steady_state_neither_waits_nor_allocates(gpu: torch.device) -> None:
    model = CudaGraphModel(Forward(network(gpu)), gpu, threading.Lock())
    x = torch.rand(1, 3, 32, 48, device=gpu)
    model.prepare((x,))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), no_host_synchronisation():
        model(x)
        before = torch.cuda.memory_stats(gpu)['allocation.all.allocated']
        for _ in range(10):
            model(x)
        assert torch.cuda.memory_stats(gpu)['allocation.all.allocated'] == before


def test_network_that_waits_for_the_device_runs_eagerly(
    gpu: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    class Waits(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * float(x.sum().item())

    lock = threading.Lock()
    model = CudaGraphModel(Forward(Waits()), gpu, lock)
    x = torch.ones(4, device=gpu)
    model.prepare((x,))
    assert model.captured == 0
    assert 'runs eagerly' in caplog.text
    assert model(x)[0].tolist() == [4.0] * 4
    # The failure leaves nothing behind: the next network is recorded.
    healthy = CudaGraphModel(Forward(network(gpu)), gpu, lock)
    healthy.prepare((torch.zeros(1, 3, 32, 32, device=gpu),))
    assert healthy.captured == 1


def test_threads_capture_while_others_allocate(gpu: torch.device) -> None:
    lock, start = threading.Lock(), threading.Barrier(4)
    errors: list[BaseException] = []
    stop = threading.Event()

    def capture(width: int) -> None:
        try:
            module = network(gpu, width)
            start.wait()
            for size in range(16, 24):
                forward = Forward(copy.deepcopy(module))  # a closed model has freed its own
                model = CudaGraphModel(forward, gpu, lock)
                # Not random: torch's generator of a device refuses while another thread captures.
                x = torch.linspace(0, 1, 3 * size * size, device=gpu).reshape(1, 3, size, size)
                model.prepare((x,))
                assert model.captured == 1
                torch.testing.assert_close(model(x)[0], forward(x)[0])
                model.close()
        except BaseException as error:
            errors.append(error)

    def allocate() -> None:
        try:
            start.wait()
            size = 0
            while not stop.is_set():
                size += 1
                # Sizes never seen before, so that the allocator calls cudaMalloc now and then.
                torch.ones(size * 1_000_003 % 50_000_000, device=gpu).sum().item()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=capture, args=(width,)) for width in (8, 16)]
    noise = [threading.Thread(target=allocate) for _ in range(2)]
    for thread in threads + noise:
        thread.start()
    for thread in threads:
        thread.join(60)
    stop.set()
    for thread in noise:
        thread.join(60)
    assert not errors


def test_close_returns_the_memory(gpu: torch.device) -> None:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated(gpu)
    model = CudaGraphModel(Forward(network(gpu, 64)), gpu, threading.Lock())
    model.prepare((torch.zeros(1, 3, 512, 512, device=gpu),))
    assert torch.cuda.memory_allocated(gpu) > before
    model.close()
    del model
    assert torch.cuda.memory_allocated(gpu) <= before + 64 * 2**20  # cuBLAS keeps a workspace


def test_auto_captures_and_fp16_is_close(gpu: torch.device) -> None:
    x = torch.rand(1, 3, 64, 64, device=gpu)
    outputs = []
    for precision in ('fp32', 'fp16'):
        torch.manual_seed(3)
        model = load_model(
            SMALL,
            device=gpu,
            weights='none',
            precision=precision,
            capture_lock=threading.Lock(),
        )
        assert isinstance(model, CudaGraphModel)
        model.prepare((x,))
        assert model.captured == 1
        outputs.append(model(x)[0].clone())
    assert outputs[1].dtype == torch.float32
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-2, rtol=1e-1)


def raw_outputs(device: torch.device) -> list:
    """Return a preset with random raw outputs for each family of fixed shape."""
    torch.manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(shape).to(device)

    return [
        (YoloxPreset((416, 416)), (rand(1, 3549, 85),)),
        (DetrPreset((640, 640)), (rand(1, 300, 80), rand(1, 300, 4))),
        (DetrPreset((640, 640), 92), (rand(1, 100, 92) * 20, rand(1, 100, 4))),
        (
            DetrPreset((640, 640), 0),
            (rand(1, 300).long(), rand(1, 300, 4) * 640, rand(1, 300)),
        ),
        (
            CenterfacePreset((640, 480)),
            tuple(rand(1, channels, 120, 160) for channels in (1, 2, 2, 10)),
        ),
    ]


def test_decoders_do_not_wait_and_equal_the_cpu(gpu: torch.device) -> None:
    for preset, outputs in raw_outputs(gpu):
        to_source = AffineMap.fit(preset.spec(), 1280, 720)
        asked = DetectionLimits(0.3, 0.45, 50, frozenset(range(40)))
        limits = PictureLimits.of(asked, to_source, gpu, classes=80)
        preset.decode(outputs, limits)  # compiles kernels and fills caches
        with no_host_synchronisation():
            found = preset.decode(outputs, limits)
        limits = PictureLimits.of(asked, to_source, torch.device('cpu'), classes=80)
        want = preset.decode(tuple(tensor.cpu() for tensor in outputs), limits)
        assert int(found.count) == int(want.count) > 0
        torch.testing.assert_close(found.scores.cpu(), want.scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.boxes.cpu(), want.boxes, atol=1e-2, rtol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_yolox_is_captured_and_equals_the_cpu(
    gpu: torch.device, shared_dir: Path, precision: str
) -> None:
    pytest.importorskip('onnx2torch', reason='the package onnx2torch is not installed')
    source = ModelSource.parse(str(shared_dir / YOLOX))
    lock = threading.Lock()
    on_gpu = load_model(source, device=gpu, precision=precision, capture_lock=lock)
    on_cpu = load_model(source, device=torch.device('cpu'), capture_lock=lock)
    preset = resolve_preset('auto', source)
    assert isinstance(on_gpu, CudaGraphModel)
    on_gpu.prepare(preset.example_inputs(gpu, precision))
    assert on_gpu.captured == 1, 'shape arithmetic was left on the device'
    torch.manual_seed(0)
    x = torch.rand(1, 3, 416, 416) * 255
    on_device = x.to(gpu, preset.spec(precision).dtype)
    with no_host_synchronisation():
        (got,) = on_gpu(on_device)
    (want,) = on_cpu(x)
    tolerance = 5e-2 if precision == 'fp32' else 0.5
    assert float((got.cpu() - want).abs().max()) < tolerance


@pytest.mark.shared
def test_detection_transformer_is_captured_and_equals_the_cpu(
    gpu: torch.device, shared_dir: Path
) -> None:
    pytest.importorskip('onnx2torch', reason='the package onnx2torch is not installed')
    source = ModelSource.parse(str(shared_dir / DEIM))
    preset = resolve_preset('auto', source)
    lock = threading.Lock()
    found = []
    for device in (gpu, torch.device('cpu')):
        model = load_model(source, device=device, capture_lock=lock)
        model.prepare(preset.example_inputs(device))
        assert device.type == 'cpu' or model.captured == 1
        torch.manual_seed(0)
        inputs = (torch.rand(1, 3, 416, 416).to(device), *preset.example_inputs(device)[1:])
        found.append(model(*inputs)[2][0, :5].cpu())
    torch.testing.assert_close(found[0], found[1], atol=2e-2, rtol=0)


def test_a_failed_capture_does_not_end_the_process_later(gpu: torch.device) -> None:
    """In a process of its own: dropping a memory pool afterwards would abort it."""
    program = """
import threading
import torch
from gpu_runtime.device_budget import DeviceBudget
from gpu_runtime.models import CudaGraphModel
from gpu_runtime.models import Forward


class Waits(torch.nn.Module):
    def forward(self, x):
        torch.cuda.synchronize()
        return x + 1


device = torch.device('cuda', 0)
budget = DeviceBudget(device)
account = budget.open('a')
with account.use():
    model = CudaGraphModel(Forward(Waits()), device, threading.Lock())
    model.prepare((torch.ones(4, device=device),))
assert model.captured == 0
budget.close_account(account)
torch.cuda.MemPool()
print('alive')
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout.strip() == 'alive', done.stderr
