# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Components on a real device whose frames are replayed: the same answers, at less cost."""

from __future__ import annotations

from collections.abc import Iterator
import time
from types import SimpleNamespace
from typing import Any

from context_bench import FORMAT
from context_bench import HEADER
from context_bench import picture
import numpy as np
import pytest
import torch

from gpu_components.captured_compute import ALIKE
from gpu_components.captured_compute import CapturedCompute
from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.image_processor import ImageProcessor
from gpu_components.object_detector import ObjectDetector
from gpu_components.output import Result
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext

pytestmark = pytest.mark.gpu

CHAIN = (
    'resize width=320 height=240',
    'flip axis=horizontal',
    'rotate angle=90',
    'gaussian_blur sigma=1.5',
    'median size=3',
    'sharpen amount=0.5',
    'gamma value=1.2',
    'equalize',
    'clahe',
)
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    'processor': (ImageProcessor, {'operations': CHAIN}),
    'detector': (
        ObjectDetector,
        {
            'model': 'torchvision/ssdlite320_mobilenet_v3_large',
            'weights': 'none',
            'confidence_threshold': 0.02,
            'precision': 'fp16',
        },
    ),
    'classifier': (
        ImageClassifier,
        {
            'model': 'torchvision/resnet18',
            'weights': 'none',
            'labels': 'imagenet1k',
            'precision': 'fp16',
        },
    ),
    'segmenter': (
        SemanticSegmenter,
        {
            'model': 'torchvision/lraspp_mobilenet_v3_large',
            'weights': 'none',
            'labels': 'voc21',
            'precision': 'fp16',
        },
    ),
}


class Replayed:
    """A component whose frames are computed, and replayed where they can be."""

    def __init__(self, context: GpuContext, kind: Any, values: dict[str, Any]) -> None:
        self.context = context
        self.told: list[str] = []
        self.wanted = {output.topic for output in kind.outputs}
        log = SimpleNamespace(info=print, error=print, warning=lambda *_, **__: None)
        self.component = kind(context, log, lambda topic: topic in self.wanted)
        self.component.params = kind.parameters(**values)
        self.stream = context.streams.lease('stage')
        self.account = context.budget.open('/stage')
        with self.account.use():
            self.component.prepared = self.component.prepare(self.component.params)
        self.captured = CapturedCompute(
            self.component,
            self.stream,
            self.account,
            lambda: frozenset(self.wanted),
            self.told.append,
        )

    def results(self, frame: Frame, *, replay: bool) -> Any:
        """Return what is made of a frame, or None where it has to be computed."""
        if replay and self.captured.replays([frame]):
            return self.captured.replay([frame])[0]  # as stages do it: nothing is entered
        with self.stream, torch.inference_mode():
            if not replay:
                return self.component.compute(frame, self.stream)
            learnt = self.captured.learn([frame])
            return None if learnt is None else learnt[0]

    def arrays(self, results: Any) -> dict[str, list[np.ndarray[Any, Any]]]:
        """Return the values of results on the host."""
        found = {}
        for topic, result in results.items():
            with self.stream:
                tensors = result.tensors if isinstance(result, Result) else (result.data,)
                download = self.context.transfers.download(tensors, self.stream)
            download.wait()
            found[topic] = [array.copy() for array in download.arrays]
            download.release()
        return found

    def close(self) -> None:
        """Give everything back."""
        self.captured.close()
        if hasattr(self.component.prepared, 'close'):
            self.component.prepared.close()
        self.context.streams.release(self.stream)
        self.context.budget.close_account(self.account)


@pytest.fixture(params=KINDS)
def stage(context: GpuContext, request: pytest.FixtureRequest) -> Iterator[Replayed]:
    """Return one component after the other."""
    made = Replayed(context, *KINDS[request.param])
    yield made
    made.close()


def frames(context: GpuContext, count: int) -> list[Frame]:
    """Return different pictures of one format."""
    return [context.frame(HEADER, FORMAT, picture(seed)) for seed in range(count)]


def test_a_replay_answers_as_compute_does(context: GpuContext, stage: Replayed) -> None:
    """For other pictures than the one that it was captured at."""
    for frame in frames(context, ALIKE + 4):
        replayed = stage.results(frame, replay=True)
        answers = stage.arrays(replayed) if replayed else None
        computed = stage.arrays(stage.results(frame, replay=False))
        if answers is not None:
            results = [result for result in replayed.values() if isinstance(result, Result)]
            assert all(t.is_contiguous() for result in results for t in result.tensors)
            assert answers.keys() == computed.keys()
            for topic, arrays in answers.items():
                for ours, reference in zip(arrays, computed[topic], strict=True):
                    np.testing.assert_array_equal(ours, reference, err_msg=topic)
    assert stage.told == ['replayed']


def test_frames_are_computed_first_and_replayed_then(context: GpuContext, stage: Replayed) -> None:
    taken = []
    for frame in frames(context, ALIKE + 3):
        taken.append(stage.results(frame, replay=True) is not None)
        if not taken[-1]:
            stage.results(frame, replay=False)
    assert taken == [False] * ALIKE + [True] * 3


def warm(context: GpuContext, stage: Replayed) -> None:
    """Bring a stage to where it replays."""
    for frame in frames(context, ALIKE + 1):
        if stage.results(frame, replay=True) is None:
            stage.results(frame, replay=False)
    assert stage.told[-1] == 'replayed'


def test_what_is_wanted_ends_the_graph(context: GpuContext, stage: Replayed) -> None:
    """And so do pictures of another format, and parameters."""
    warm(context, stage)
    (frame,) = frames(context, 1)
    before = stage.wanted
    stage.wanted = set()
    assert stage.results(frame, replay=True) is None
    stage.wanted = before
    warm(context, stage)
    stage.captured.forget()
    assert stage.results(frame, replay=True) is None


def test_memory_stays_the_same_over_many_captures(context: GpuContext, stage: Replayed) -> None:
    """What a graph held the next one of the stage takes, once the device has let go of it."""
    sizes = []
    for _ in range(8):
        warm(context, stage)
        sizes.append(stage.account.nbytes)
        stage.captured.forget()
    assert sizes[-1] == sizes[2] <= 2 * sizes[0]


def test_what_goes_on_the_bus_is_not_overwritten(context: GpuContext) -> None:
    """A picture that another component holds stays as it is while frames are replayed."""
    stage = Replayed(context, ImageProcessor, {'operations': ('flip axis=horizontal',)})
    warm(context, stage)
    kept = []
    for frame in frames(context, 3):
        results = stage.results(frame, replay=True)
        with stage.stream:
            made = results['processed_image']
            kept.append((frame, made.bus(frame, made.tensors, stage.stream)))
    for frame, derived in kept:
        assert derived.header is frame.header
        expected = stage.results(frame, replay=False)['processed_image'].data
        torch.cuda.synchronize()
        assert torch.equal(derived.data, expected)
    stage.close()


def test_pictures_that_are_passed_on_need_no_graph(context: GpuContext) -> None:
    stage = Replayed(context, ImageProcessor, {})
    for frame in frames(context, ALIKE + 2):
        assert stage.results(frame, replay=True) is None
    assert stage.told == ['none: pictures are passed on as they are']
    stage.close()


def test_a_component_that_must_not_be_captured_is_not(context: GpuContext) -> None:
    """By its parameter; and where its network runs eagerly."""
    for values in ({'capture_graph': False}, {'backend': 'eager'}):
        kind, usual = KINDS['classifier']
        stage = Replayed(context, kind, usual | values)
        for frame in frames(context, ALIKE + 2):
            assert stage.results(frame, replay=True) is None
            stage.results(frame, replay=False)
        stage.close()


def test_depth_is_replayed_too(context: GpuContext, tmp_path: Any) -> None:
    """Of a network that is captured within; its graph outlives no change of parameters."""

    class Nearness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(1, keepdim=True) + 0.1

    file = tmp_path / 'depth.pt2'
    program = torch.export.export(Nearness(), (torch.zeros(1, 3, 64, 96),))
    torch.export.save(program, file)
    values = {'model': str(file), 'kind': 'metric', 'precision': 'fp16'}
    size = {'input_width': 96, 'input_height': 64}
    stage = Replayed(context, DepthEstimator, values | size)
    warm(context, stage)
    for frame in frames(context, 2):
        ours = stage.arrays(stage.results(frame, replay=True))
        reference = stage.arrays(stage.results(frame, replay=False))
        for topic in reference:
            np.testing.assert_array_equal(ours[topic][0], reference[topic][0])
    stage.close()


def test_a_replay_costs_the_host_little(context: GpuContext) -> None:
    """Less than half of what computing does, measured side by side."""
    kind, values = KINDS['classifier']
    stage = Replayed(context, kind, values)
    warm(context, stage)
    (frame,) = frames(context, 1)
    costs = {}
    for replay in (True, False):
        began_s = time.perf_counter()
        for _ in range(50):
            stage.results(frame, replay=replay)
        costs[replay] = time.perf_counter() - began_s
        torch.cuda.synchronize()
    assert costs[True] < costs[False] / 2
    stage.close()
