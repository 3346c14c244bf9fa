# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The suppression kernels against torchvision, without waiting and inside a graph."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import batched_nms as torchvision_nms

from gpu_runtime.detection.detections import Detections
from gpu_runtime.detection.nms import batched_nms

pytestmark = pytest.mark.gpu

Candidates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def candidates(number: int, *, classes: int = 80, side_px: float = 100.0) -> Candidates:
    """Return random boxes in a 640 px square on the host; scores are all different."""
    generator = torch.Generator().manual_seed(number + classes)
    corner = torch.rand((number, 2), generator=generator) * 640
    size = torch.rand((number, 2), generator=generator) * side_px + 1
    scores = (torch.randperm(number, generator=generator) + 1).float() / (number + 1)
    class_ids = torch.randint(0, classes, (number,), generator=generator)
    return torch.cat((corner, corner + size), dim=1), scores, class_ids


def suppress(given: Candidates, *, score: float, iou: float, limit: int) -> Detections:
    """Call the function under test."""
    return batched_nms(*given, score_threshold=score, iou_threshold=iou, max_detections=limit)


def upload(given: Candidates, device: torch.device) -> Candidates:
    """Copy candidates to the device."""
    boxes, scores, class_ids = given
    return boxes.to(device), scores.to(device), class_ids.to(device)


def assert_same(got: Detections, expected: Detections) -> None:
    """Compare two results bit by bit."""
    for name in ('count', 'boxes', 'scores', 'class_ids'):
        assert torch.equal(getattr(got, name).cpu(), getattr(expected, name).cpu()), name


@pytest.mark.parametrize('iou', [0.3, 0.45, 0.7])
@pytest.mark.parametrize(
    ('number', 'classes', 'side_px', 'score', 'limit'),
    [
        (0, 1, 50.0, 0.0, 5),
        (1, 1, 50.0, 0.0, 5),
        (1, 1, 50.0, 2.0, 5),
        (63, 3, 100.0, 0.1, 300),
        (64, 1, 300.0, 0.0, 300),
        (65, 1, 300.0, 0.0, 300),
        (1000, 1, 300.0, 0.0, 1000),
        (1000, 80, 100.0, 2.0, 300),
        (1000, 3, 400.0, 0.0, 10),
        (8400, 80, 100.0, 0.5, 300),
        (8400, 2, 20.0, 0.01, 8400),
        (8400, 1, 2000.0, 0.0, 1),
        (33600, 80, 60.0, 0.9, 300),
    ],
)
def test_equals_torchvision(
    gpu: torch.device,
    number: int,
    classes: int,
    side_px: float,
    score: float,
    limit: int,
    iou: float,
) -> None:
    given = candidates(number, classes=classes, side_px=side_px)
    boxes, scores, class_ids = given
    found = suppress(upload(given, gpu), score=score, iou=iou, limit=limit)
    assert found.boxes.is_cuda and found.count.is_cuda
    passed = (scores >= score).nonzero().squeeze(1)
    kept = passed[torchvision_nms(boxes[passed], scores[passed], class_ids[passed], iou)][:limit]
    count = int(found.count)
    assert count == len(kept)
    assert torch.equal(found.boxes[:count].cpu(), boxes[kept])
    assert_same(found, suppress(given, score=score, iou=iou, limit=limit))


@pytest.mark.parametrize('iou', [0.0, 1 / 3, 0.5, 1.0])
def test_ties_and_overlaps_at_the_threshold_equal_the_host(gpu: torch.device, iou: float) -> None:
    boxes, scores, class_ids = candidates(1500, classes=2, side_px=5.0)
    given = ((boxes / 16).round(), (scores * 20).round() / 20, class_ids)
    found = suppress(upload(given, gpu), score=0.2, iou=iou, limit=1500)
    assert_same(found, suppress(given, score=0.2, iou=iou, limit=1500))


def test_broken_numbers_equal_the_host(gpu: torch.device) -> None:
    boxes, scores, class_ids = candidates(200, classes=1, side_px=300.0)
    scores[::7] = float('nan')
    boxes[1::11] = float('nan')
    boxes[3::13] = float('inf')
    given = (boxes, scores, class_ids)
    found = suppress(upload(given, gpu), score=0.1, iou=0.5, limit=200)
    expected = suppress(given, score=0.1, iou=0.5, limit=200)
    assert torch.equal(found.count.cpu(), expected.count)
    assert torch.equal(found.scores.cpu(), expected.scores)


def test_class_mask_equals_the_host(gpu: torch.device) -> None:
    boxes, scores, class_ids = candidates(500, classes=10)
    class_ids[::50] = -1
    class_ids[1::50] = 1000
    mask = torch.tensor([True, False] * 4)
    results = [
        batched_nms(
            boxes.to(device),
            scores.to(device),
            class_ids.to(device),
            score_threshold=0.1,
            iou_threshold=0.5,
            max_detections=300,
            class_mask=mask.to(device),
        )
        for device in (gpu, torch.device('cpu'))
    ]
    assert int(results[0].count) > 0
    assert_same(results[0], results[1])


def test_inputs_need_not_be_contiguous(gpu: torch.device) -> None:
    boxes, scores, class_ids = candidates(300)
    rows = torch.cat((boxes, scores[:, None]), dim=1).to(gpu)
    strided = (rows[:, :4], rows[:, 4], class_ids.to(gpu))
    found = suppress(strided, score=0.1, iou=0.5, limit=50)
    assert_same(found, suppress((boxes, scores, class_ids), score=0.1, iou=0.5, limit=50))


def test_never_waits_for_the_device(gpu: torch.device) -> None:
    given = candidates(8400)
    on_device = upload(given, gpu)
    suppress(on_device, score=0.3, iou=0.5, limit=300).packed()
    stream = torch.cuda.Stream(gpu)
    torch.cuda.synchronize(gpu)
    torch.cuda.set_sync_debug_mode('error')
    try:
        with torch.cuda.stream(stream):
            # Twice, so that this stream's allocations are made before the latch.
            suppress(on_device, score=0.3, iou=0.5, limit=300).packed()
            torch.cuda._sleep(1_000_000_000)  # a latch: half a second of device time
            found = suppress(on_device, score=0.3, iou=0.5, limit=300)
            rows = found.packed()
            still_busy = not stream.query()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert still_busy
    stream.synchronize()
    expected = suppress(given, score=0.3, iou=0.5, limit=300)
    assert_same(found, expected)
    assert torch.equal(rows.cpu(), expected.packed())


def test_runs_inside_a_captured_graph_with_other_counts(gpu: torch.device) -> None:
    boxes, scores, class_ids = upload(candidates(2000, classes=3), gpu)
    suppress((boxes, scores, class_ids), score=0.5, iou=0.5, limit=300)
    torch.cuda.synchronize(gpu)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode='thread_local'):
        found = suppress((boxes, scores, class_ids), score=0.5, iou=0.5, limit=300)
    original = scores.clone()
    for factor in (1.0, 0.6, 0.0, 1.5):
        scores.copy_(original * factor)
        graph.replay()
        torch.cuda.synchronize(gpu)
        given = (boxes.cpu(), scores.cpu(), class_ids.cpu())
        assert_same(found, suppress(given, score=0.5, iou=0.5, limit=300))


def test_steady_state_allocates_no_device_memory(gpu: torch.device) -> None:
    given = upload(candidates(8400), gpu)
    for _ in range(3):
        suppress(given, score=0.3, iou=0.5, limit=300)
    torch.cuda.synchronize(gpu)
    before = torch.cuda.memory_stats(gpu)['num_device_alloc']
    for _ in range(20):
        suppress(given, score=0.3, iou=0.5, limit=300)
    torch.cuda.synchronize(gpu)
    assert torch.cuda.memory_stats(gpu)['num_device_alloc'] == before
