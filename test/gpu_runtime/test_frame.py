# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A frame prepares each distinct spec once, for whichever thread asks first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch

from gpu_runtime import frame as frame_module
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.event import Event
from gpu_runtime.fit import Fit
from gpu_runtime.frame import Frame
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.stage_metrics import StageMetrics
from gpu_runtime.stream import Stream
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import ImageTransform
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms import PreparedTensor

CPU = torch.device('cpu')
FORMAT = ImageFormat(16, 12, 'rgb8', 48)
HEADER = Header(1_000_000_007, 'camera')


class Counting:
    """The real transform, slowed down and counted."""

    def __init__(self) -> None:
        self.calls: list[TensorSpec] = []
        self.fail = False
        self._transform = make_image_transform(CPU)

    def __call__(
        self, data: torch.Tensor, format: ImageFormat, spec: TensorSpec
    ) -> PreparedTensor:
        """Note the call; give other threads the time to make the same."""
        self.calls.append(spec)
        time.sleep(0.005)
        if self.fail:
            raise SpecMismatchError('asked to fail')
        return self._transform(data, format, spec)


def make_frame(
    transform: ImageTransform | None = None, metrics: StageMetrics | None = None
) -> Frame:
    """Return a picture whose bytes count up."""
    data = torch.arange(FORMAT.nbytes).to(torch.uint8)
    chosen = transform or make_image_transform(CPU)
    return Frame(HEADER, FORMAT, data, Event(), chosen, metrics=metrics)


def make_stream(name: str = 'stage') -> Stream:
    """Return a stream of the CPU."""
    return Stream(name, CPU)


def test_a_frame_carries_what_it_was_given() -> None:
    before = time.monotonic()
    frame = make_frame()
    assert before <= frame.received_s <= time.monotonic()
    assert (frame.header, frame.format, frame.camera_info) == (HEADER, FORMAT, None)
    assert frame.use(make_stream()) is frame.data
    info = object()
    transform = make_image_transform(CPU)
    given = Frame(HEADER, FORMAT, frame.data, Event(), transform, received_s=1.5, camera_info=info)
    assert (given.received_s, given.camera_info) == (1.5, info)


def test_too_few_bytes_are_refused() -> None:
    short = torch.zeros(FORMAT.nbytes - 1, dtype=torch.uint8)
    with pytest.raises(SpecMismatchError, match='image data has 575 bytes'):
        Frame(HEADER, FORMAT, short, Event(), make_image_transform(CPU))
    gc.collect()


def test_the_same_spec_is_prepared_once() -> None:
    transform, metrics, stream = Counting(), StageMetrics(), make_stream()
    frame = make_frame(transform, metrics)
    first = frame.tensor(TensorSpec(8, 8), stream)
    again = frame.tensor(TensorSpec(8, 8), make_stream('other'))
    assert again.tensor is first.tensor
    assert transform.calls == [TensorSpec(8, 8)]
    assert metrics.snapshot().counts['transforms'] == 1


@pytest.mark.parametrize(
    'other',
    [
        TensorSpec(8, 4),
        TensorSpec(8, 8, Fit.LETTERBOX_CENTER),
        TensorSpec(8, 8, channels='bgr'),
        TensorSpec(8, 8, layout=Layout.NHWC),
        TensorSpec(8, 8, dtype=torch.float16),
        TensorSpec(8, 8, scale=1.0),
        TensorSpec(8, 8, mean=(0.1, 0.2, 0.3)),
        TensorSpec(8, 8, pad=0.0),
    ],
)
def test_another_spec_is_another_tensor(other: TensorSpec) -> None:
    transform = Counting()
    frame, stream = make_frame(transform), make_stream()
    assert frame.tensor(TensorSpec(8, 8), stream) is not frame.tensor(other, stream)
    assert transform.calls == [TensorSpec(8, 8), other]


def test_many_threads_cause_one_transform_for_each_spec() -> None:
    transform, metrics = Counting(), StageMetrics()
    specs = [TensorSpec(8, 8), TensorSpec(4, 4), TensorSpec(8, 8, dtype=torch.float16)]
    barrier = threading.Barrier(9)
    frame = make_frame(transform, metrics)

    def ask(number: int) -> int:
        stream = make_stream(str(number))
        barrier.wait(10.0)
        with stream:
            return frame.tensor(specs[number % 3], stream).tensor.data_ptr()

    with ThreadPoolExecutor(9) as pool:
        pointers = list(pool.map(ask, range(9)))
    assert len(set(pointers)) == 3
    assert pointers[:3] * 3 == pointers
    assert sorted(map(hash, transform.calls)) == sorted(map(hash, specs))
    assert metrics.snapshot().counts['transforms'] == 3


def test_a_failed_transform_is_not_remembered() -> None:
    transform = Counting()
    frame, stream = make_frame(transform), make_stream()
    transform.fail = True
    with pytest.raises(SpecMismatchError, match='asked to fail'):
        frame.tensor(TensorSpec(8, 8), stream)
    transform.fail = False
    assert frame.tensor(TensorSpec(8, 8), stream).tensor.shape == (1, 3, 8, 8)


def test_the_prepared_tensor_is_right() -> None:
    frame = make_frame()
    spec = TensorSpec(0, 0, layout=Layout.NHWC, scale=1.0)
    got = frame.tensor(spec, make_stream()).tensor.numpy()
    expected = (np.arange(FORMAT.nbytes) % 256).reshape(1, 12, 16, 3)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


def test_memory_goes_with_the_last_reference() -> None:
    frame, stream = make_frame(), make_stream()
    frame.use(stream)
    data = weakref.ref(frame.data)
    prepared = weakref.ref(frame.tensor(TensorSpec(8, 8), stream).tensor)
    del frame
    assert data() is None
    assert prepared() is None


def test_memory_is_left_to_the_streams_that_may_still_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not to those whose work has ended; to none of them, if all of it has."""
    left: list[set[Stream]] = []
    monkeypatch.setattr(frame_module, 'retain', lambda streams, *tensors: left.append(streams))
    streams = [make_stream(name) for name in 'abc']
    for ended in (streams[:1], streams):
        frame = make_frame()
        for stream in streams:
            frame.use(stream)
        for stream in ended:
            frame.done(stream)
        frame.done(make_stream('another'))
        del frame
    assert left == [set(streams[1:])]
