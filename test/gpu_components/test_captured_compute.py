# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""When a component's work is captured, replayed and dropped; the capture needs no device."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gpu_components import captured_compute
from gpu_components.captured_compute import ALIKE
from gpu_components.captured_compute import CapturedCompute
from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.output import Results
from gpu_runtime.camera_model import CameraModel
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.stream import Stream

FORMAT = ImageFormat(4, 2, 'rgb8', 12)


class Brighter(Component[ComponentParameters, None]):
    """Adds one to a picture, and tells its first value."""

    inputs = ('input_image',)
    outputs = (Output('brighter', object, bus=True), Output('first', object, bus=True))
    capturable = True
    calls = 0
    fault: Exception | None = None

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Note the call."""
        self.calls += 1
        if self.fault is not None:
            raise self.fault
        data = frame.use(stream) + 1
        return {
            'brighter': self.context.derived_frame(frame, frame.format, data, stream),
            'first': Result((data[:1],), lambda header, value: (header, int(value[0])), list_of),
        }


def list_of(frame: Frame, tensors: tuple[torch.Tensor, ...], stream: Stream) -> Any:
    """Return what a component gets of a value."""
    return [frame.header.stamp_ns, tensors[0]]


@dataclass
class Graph:
    """Replays by doing the work again; tensors stay where they are."""

    work: Callable[[], Any]
    result: Any
    valid: bool = True
    closed: bool = False

    def replay(self) -> None:
        """Overwrite the tensors of the result."""
        for old, new in zip(self.result, self.work(), strict=True):
            for topic, result in (old or {}).items():
                for to, value in zip(result.tensors, new[topic].tensors, strict=True):
                    to.copy_(value)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Bench:
    """A component with a context that says that it is on a device."""

    def __init__(self, gpu: GpuContext) -> None:
        self.gpu = gpu
        self.graphs: list[Graph] = []
        self.wanted = True
        self.told: list[str] = []
        self.trims = 0
        context = SimpleNamespace(
            device=torch.device('cuda', 0),
            streams=gpu.streams,
            transfers=gpu.transfers,
            transform=gpu.transform,
            capture_lock=gpu.capture_lock,
            derived_frame=gpu.derived_frame,
            budget=SimpleNamespace(trim=self.trim),
        )
        log = SimpleNamespace(info=lambda text: None)
        self.component = Brighter(context, log, lambda topic: self.wanted)  # type: ignore[arg-type]
        self.component.params = ComponentParameters()
        self.stream = gpu.streams.lease('stage')
        account = SimpleNamespace(graph_pool=lambda stream: None)
        self.captured = CapturedCompute(
            self.component,
            self.stream,
            account,  # type: ignore[arg-type]
            lambda: self.wanted,
            self.told.append,
        )

    def trim(self) -> None:
        """Count it."""
        assert not self.gpu.capture_lock.locked(), 'pools would stay'
        self.trims += 1

    def capture(self, work: Callable[[], Any], stream: Any, *, prepare: Any, pool: Any) -> Graph:
        """Stand in for the real one."""
        prepare()
        self.graphs.append(Graph(work, work()))
        return self.graphs[-1]

    def frame(self, value: int, **values: Any) -> Frame:
        """Return a picture of one value, its stamp too."""
        layout = values.pop('layout', FORMAT)
        data = bytes([value]) * layout.nbytes
        frame = self.gpu.frame(Header(value, 'camera'), layout, data)
        frame.camera_info = values.get('camera')
        return frame

    def results(self, *frames: Any) -> Any:
        """Return what a graph makes of frames, or None where they have to be computed."""
        if self.captured.replays(frames):
            return self.captured.replay(frames)
        return self.captured.learn(frames)

    def run(self, *values: int, **more: Any) -> list[bool]:
        """Return for pictures which were replayed."""
        taken = []
        for value in values:
            frame = self.frame(value, **more)
            results = self.results(frame)
            taken.append(results is not None)
            if results is None:
                self.component.calls -= 1
                self.component.compute(frame, self.stream)
        return taken

    def warm(self) -> None:
        """Bring it to where frames are replayed."""
        assert self.run(*range(ALIKE + 1)) == [False] * ALIKE + [True]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return a component on what looks like a device."""
    gpu = GpuContext('cpu')
    made = Bench(gpu)
    monkeypatch.setattr(captured_compute, 'capture', made.capture)
    yield made
    made.captured.close()
    gpu.streams.release(made.stream)
    assert gpu.close() == []


def test_frames_are_computed_until_some_were_alike(bench: Bench) -> None:
    assert bench.run(*range(6)) == [False] * ALIKE + [True] * (6 - ALIKE)
    assert len(bench.graphs) == 1
    assert bench.told == ['replayed']
    assert bench.trims == 1


def test_each_replay_has_its_own_values_and_header(bench: Bench) -> None:
    bench.warm()
    for value in (7, 9):
        frame = bench.frame(value)
        (results,) = bench.results(frame) or []
        brighter, first = results['brighter'], results['first']
        assert brighter.tensors[0].tolist() == [value + 1] * FORMAT.nbytes
        message = brighter.build(frame.header, brighter.tensors[0].numpy())
        assert bytes(message)[-FORMAT.nbytes :] == bytes([value + 1]) * FORMAT.nbytes
        assert first.build(frame.header, first.tensors[0]) == (frame.header, value + 1)


def test_what_goes_on_the_bus_is_kept(bench: Bench) -> None:
    """It has the header of its own frame, and values that the next replay leaves alone."""
    bench.warm()
    made = []
    for value in (7, 9):
        frame = bench.frame(value)
        (results,) = bench.results(frame) or []
        made.append([r.bus(frame, r.tensors, bench.stream) for r in results.values()])
    for (picture, (stamp, first)), value in zip(made, (7, 9), strict=True):
        assert (picture.header.stamp_ns, picture.format, stamp) == (value, FORMAT, value)
        assert (int(picture.data[0]), int(first)) == (value + 1, value + 1)


def test_what_a_replay_returns_lies_as_it_is_copied(bench: Bench) -> None:
    """To bring it in order would be work outside the graph, on a stream nobody has entered."""

    def turned(frame: Frame, stream: Stream) -> Results:
        bench.component.calls += 1
        data = frame.use(stream).view(2, 12).T
        return {'first': Result((data,), lambda header, values: values)}

    bench.component.compute = turned  # type: ignore[method-assign]
    bench.warm()
    (results,) = bench.results(bench.frame(5)) or []
    (tensor,) = results['first'].tensors
    assert tensor.is_contiguous() and tensor.shape == (12, 2)


@pytest.mark.parametrize(
    'more',
    [
        {'layout': ImageFormat(2, 2, 'rgb8', 6)},
        {'layout': replace(FORMAT, encoding='bgr8')},
        {'camera': CameraModel(4, 2)},
    ],
)
def test_another_kind_of_frame_ends_the_graph(bench: Bench, more: dict[str, Any]) -> None:
    """And begins anew: pictures in turn of two kinds are computed for ever."""
    bench.warm()
    assert bench.run(1, **more) == [False]
    assert bench.graphs[0].closed
    for _ in range(ALIKE + 1):
        assert bench.run(1) == [False]
        assert bench.run(1, **more) == [False]
    assert len(bench.graphs) == 1


def test_equal_calibrations_are_alike(bench: Bench) -> None:
    taken = [bench.run(1, camera=CameraModel(4, 2)) for _ in range(ALIKE + 1)]
    assert taken == [[False]] * ALIKE + [[True]]


def test_who_wants_what_ends_the_graph(bench: Bench) -> None:
    bench.warm()
    bench.wanted = False
    assert bench.run(1) == [False]
    assert bench.graphs[0].closed and bench.told == ['replayed', '']


def test_a_graph_that_holds_no_more_is_captured_again(bench: Bench) -> None:
    bench.warm()
    bench.graphs[0].valid = False
    assert bench.run(*range(ALIKE + 2)) == [False] * ALIKE + [True] * 2
    assert bench.graphs[0].closed and not bench.graphs[1].closed


def test_a_capture_that_fails_is_not_tried_again(bench: Bench) -> None:
    """Until a frame of another kind comes."""
    bench.run(*range(ALIKE))
    bench.component.fault = RuntimeError('cannot be captured\nat all')
    assert bench.results(bench.frame(1)) is None
    bench.component.fault = None
    assert bench.run(1, 2, 3) == [False] * 3
    assert bench.told == ['none: cannot be captured']
    assert not bench.gpu.capture_lock.locked()


def test_what_changes_during_a_capture_makes_it_void(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(*range(ALIKE))

    def change(work: Any, stream: Any, **more: Any) -> Graph:
        bench.wanted = not bench.wanted
        return bench.capture(work, stream, **more)

    monkeypatch.setattr(captured_compute, 'capture', change)
    assert bench.results(bench.frame(1)) is None
    assert bench.graphs[0].closed


def test_nobody_waits_for_the_capture_of_another(bench: Bench) -> None:
    with bench.gpu.capture_lock:
        assert bench.run(*range(ALIKE + 2)) == [False] * (ALIKE + 2)
    assert bench.run(1) == [True]


def test_several_frames_are_replayed_together(bench: Bench) -> None:
    """As many as before; with another number they are computed."""
    for _ in range(ALIKE):
        assert bench.results(bench.frame(1), bench.frame(2)) is None
    results = bench.results(bench.frame(5), bench.frame(6)) or []
    assert [int(result['first'].tensors[0]) for result in results if result] == [6, 7]
    assert bench.results(bench.frame(5)) is None


@pytest.mark.parametrize('how', ['parameter', 'component', 'detections'])
def test_what_may_not_be_captured_is_computed(bench: Bench, how: str) -> None:
    if how == 'parameter':
        bench.component.params = ComponentParameters(capture_graph=False)
    elif how == 'component':
        bench.component.capturable = False  # type: ignore[misc]
    frames: list[Any] = [SimpleNamespace()] if how == 'detections' else [bench.frame(1)]
    for _ in range(ALIKE + 2):
        assert bench.results(*frames) is None
    assert bench.graphs == []


def test_a_picture_that_is_passed_on_is_not_captured(bench: Bench) -> None:
    bench.component.compute = lambda frame, stream: {'brighter': frame}  # type: ignore[method-assign]
    for value in range(ALIKE + 2):
        assert bench.results(bench.frame(value)) is None
    assert bench.told == ['none: pictures are passed on as they are']
