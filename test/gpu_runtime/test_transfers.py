# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Copies to and from a device that is the CPU: the same bytes, no shared memory."""

from __future__ import annotations

from array import array

from interpreter_lock import other_thread
import numpy as np
import pytest
import torch

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.stream_pool import StreamPool
from gpu_runtime.transfers import Transfers

CPU = torch.device('cpu')
BYTES = bytes(range(200))


@pytest.fixture
def streams() -> StreamPool:
    """Return a pool of streams."""
    return StreamPool(CPU)


@pytest.fixture
def transfers(streams: StreamPool) -> Transfers:
    """Return transfers to the CPU."""
    return Transfers(CPU, PinnedPool(CPU), streams)


@pytest.mark.parametrize(
    'data',
    [
        BYTES,
        bytearray(BYTES),
        memoryview(BYTES),
        array('B', BYTES),
        np.frombuffer(BYTES, np.uint8),
        np.frombuffer(BYTES, np.uint8).reshape(10, 20),
        np.frombuffer(BYTES, np.uint16),
    ],
    ids=lambda data: type(data).__name__,
)
@pytest.mark.parametrize(('nbytes', 'offset'), [(200, 0), (100, 0), (100, 100), (1, 199)])
def test_upload_takes_anything_with_bytes(
    transfers: Transfers, data: object, nbytes: int, offset: int
) -> None:
    tensor, ready = transfers.upload(data, nbytes, offset=offset)
    assert tensor.dtype == torch.uint8
    assert bytes(tensor.numpy()) == BYTES[offset : offset + nbytes]
    assert ready.passed()
    assert transfers.uploads == 1


def test_upload_copies(transfers: Transfers) -> None:
    data = bytearray(8)
    tensor, _ = transfers.upload(data, 8)
    data[:] = b'\xff' * 8
    assert int(tensor.sum()) == 0


@pytest.mark.parametrize(('nbytes', 'offset'), [(201, 0), (200, 1), (1, 200)])
def test_too_short_data_is_refused_and_not_counted(
    transfers: Transfers, nbytes: int, offset: int
) -> None:
    with pytest.raises(SpecMismatchError, match=f'{nbytes} bytes from byte {offset}.*only 200'):
        transfers.upload(BYTES, nbytes, offset=offset)
    assert transfers.uploads == 0


def test_upload_lets_other_threads_run(transfers: Transfers) -> None:
    data = bytes(1 << 27)
    with other_thread() as other:
        _, has_run = other.runs_during(transfers.upload, data, len(data))
    assert has_run


def test_download_keeps_shape_and_type(transfers: Transfers, streams: StreamPool) -> None:
    tensors = (
        torch.arange(12, dtype=torch.float32).reshape(3, 4),
        torch.tensor(5),
        torch.zeros((0, 4), dtype=torch.float16),
        torch.tensor([True, False]),
        torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
    )
    download = transfers.download(tensors, streams.lease('stage'))
    download.wait()
    for tensor, got in zip(tensors, download.arrays, strict=True):
        assert got.shape == tuple(tensor.shape)
        assert got.dtype == tensor.numpy().dtype
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, tensor.numpy())
    download.release()
    download.release()


def test_a_download_is_not_changed_by_later_work(
    transfers: Transfers, streams: StreamPool
) -> None:
    tensor = torch.ones(4)
    download = transfers.download((tensor,), streams.lease('stage'))
    tensor.zero_()
    download.wait()
    assert download.arrays[0].tolist() == [1.0] * 4


def test_gradients_are_left_behind(transfers: Transfers, streams: StreamPool) -> None:
    tensor = torch.ones(2, requires_grad=True)
    assert transfers.download((tensor,), streams.lease('s')).arrays[0].tolist() == [1.0, 1.0]


def test_close_gives_the_upload_stream_back(transfers: Transfers, streams: StreamPool) -> None:
    assert streams.leased() == ['upload']
    transfers.close()
    assert streams.close() == []
