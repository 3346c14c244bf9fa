# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The device manager on a CPU, and what it answers when the device is not there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import logging
import os
from typing import Any

from cuda.bindings import runtime
import pytest
import torch

from gpu_runtime.device import CUBLAS_WORKSPACE
from gpu_runtime.device import limit_stacks
from gpu_runtime.device import limit_workspaces
from gpu_runtime.device import resolve_device
from gpu_runtime.device import STACK_BYTES
from gpu_runtime.errors import CudaError
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.stage_metrics import StageMetrics
from gpu_runtime.tensor_spec import TensorSpec

FORMAT = ImageFormat(4, 2, 'mono8', 4)
HEADER = Header(5, 'camera')
BAD_NAMES = (
    *('', 'gpu', 'CUDA', 'cuda:', 'cuda:x', 'cuda:-1', 'cuda:0 ', 'cuda:\u00b2', 'cuda:0:0'),
    *('cpu:', 'cpu:0', 'auto:', 'auto:1', 'cuda0', 'cuda:99999'),
)


@pytest.fixture
def context() -> GpuContext:
    """Return a context on the CPU."""
    return GpuContext('cpu')


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch see no device, whatever this machine has."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


def test_workspaces_are_small_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':16:8')
    limit_workspaces()
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':16:8'
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')
    limit_workspaces()
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == CUBLAS_WORKSPACE


@pytest.mark.parametrize(
    ('status', 'now', 'then'),
    [(0, 1024, STACK_BYTES), (0, 64, 64), (0, STACK_BYTES, STACK_BYTES), (801, 1024, 1024)],
    ids=['default', 'less already', 'as it should be', 'not supported'],
)
def test_stacks_are_limited_but_never_raised(
    monkeypatch: pytest.MonkeyPatch, status: int, now: int, then: int
) -> None:
    limits = {runtime.cudaLimit.cudaLimitStackSize: now}

    def set_limit(limit: Any, nbytes: int) -> tuple[int]:
        limits[limit] = nbytes
        return (0,)

    monkeypatch.setattr(runtime, 'cudaDeviceGetLimit', lambda limit: (status, limits[limit]))
    monkeypatch.setattr(runtime, 'cudaDeviceSetLimit', set_limit)
    limit_stacks()
    assert list(limits.values()) == [then]


def test_device_names_on_a_machine_without_a_gpu(no_gpu: None) -> None:
    assert resolve_device('cpu') == resolve_device('auto') == torch.device('cpu')
    for name in ('cuda', 'cuda:0', 'cuda:7'):
        with pytest.raises(CudaError, match=f"'{name}': this process sees 0 CUDA") as caught:
            resolve_device(name)
        assert not caught.value.sticky


def test_device_names_on_a_machine_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert resolve_device('cpu') == torch.device('cpu')
    for name in ('auto', 'cuda', 'cuda:0'):
        assert resolve_device(name) == torch.device('cuda', 0)
    assert resolve_device('cuda:1') == torch.device('cuda', 1)
    with pytest.raises(CudaError, match='sees 2 CUDA'):
        resolve_device('cuda:2')


@pytest.mark.parametrize(
    'name',
    BAD_NAMES,
)
def test_other_device_names_are_refused(no_gpu: None, name: str) -> None:
    with pytest.raises(ParameterError, match='expected auto, cpu, cuda or cuda:N'):
        resolve_device(name)


def test_the_cpu_has_a_name(context: GpuContext) -> None:
    assert context.device == torch.device('cpu')
    assert context.device_name == 'cpu'
    assert not context.allow_unsafe_models


def test_a_frame_is_uploaded_once_with_its_offset(context: GpuContext) -> None:
    data, metrics = bytearray(range(12)), StageMetrics()
    frame = context.frame(HEADER, FORMAT, data, offset=3, received_s=2.0, metrics=metrics)
    data[:] = bytes(12)
    assert frame.data.tolist() == list(range(3, 11))
    assert (frame.header, frame.received_s) == (HEADER, 2.0)
    assert context.transfers.uploads == 1
    stream = context.streams.lease('stage')
    for _ in range(3):
        frame.tensor(TensorSpec(2, 2), stream)
    assert metrics.snapshot().counts['transforms'] == 1


def test_a_picture_that_is_too_short_is_refused(context: GpuContext) -> None:
    with pytest.raises(SpecMismatchError, match='image data has 7 bytes'):
        context.frame(HEADER, FORMAT, bytes(10), offset=3)
    assert context.transfers.uploads == 0


def test_frames_from_several_threads_keep_their_bytes(context: GpuContext) -> None:
    def work(number: int) -> None:
        for turn in range(300):
            value = (number * 50 + turn) % 256
            frame = context.frame(HEADER, FORMAT, bytes([value]) * 8)
            assert frame.data.tolist() == [value] * 8

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_close_without_leaks_says_nothing(
    context: GpuContext, caplog: pytest.LogCaptureFixture
) -> None:
    stream = context.streams.lease('stage')
    account = context.budget.open('/stage')
    context.streams.release(stream)
    context.budget.close_account(account)
    assert context.close() == []
    assert context.close() == []
    assert caplog.records == []


def test_close_reports_every_lease_that_is_out(
    context: GpuContext, caplog: pytest.LogCaptureFixture
) -> None:
    context.streams.lease('stage')
    context.budget.open('/stage')
    slab = context.pinned.lease(10)
    leaks = ['stream stage', 'pinned slab of 10 bytes', 'memory account /stage']
    with caplog.at_level(logging.WARNING):
        assert context.close() == leaks
    assert [record.args for record in caplog.records] == [(leak,) for leak in leaks]
    assert slab.array.nbytes == 10
    assert context.close() == []


def test_only_a_lost_context_is_told() -> None:
    told: list[BaseException] = []
    context = GpuContext('cpu', on_lost=told.append)
    lost = CudaError('an illegal memory access was encountered', sticky=True)
    for error in (CudaError('not there'), RuntimeError('700'), torch.OutOfMemoryError('full')):
        context.notice(error)
        assert not context.lost(error)
    context.notice(lost)
    assert told == [lost]


@pytest.mark.parametrize(
    ('code', 'lost'),
    [(700, True), (719, True), (214, True), (721, True), (2, False), (712, False), (720, False)],
)
def test_the_status_of_a_torch_error_decides(context: GpuContext, code: int, lost: bool) -> None:
    error = torch.AcceleratorError('a CUDA error')
    error.error_code = code
    assert context.lost(error) is lost
