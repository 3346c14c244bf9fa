# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Suppression against torchvision's, and the packing of its result."""

from __future__ import annotations

from host_cuda import compile_for_gpu
from host_cuda import HostKernel
import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms as torchvision_nms

from gpu_runtime.detection import cuda_nms
from gpu_runtime.detection import nms_kernel
from gpu_runtime.detection.cuda_nms import float32_at_most
from gpu_runtime.detection.detections import Detections
from gpu_runtime.detection.nms import batched_nms
from gpu_runtime.detection.nms import MAX_CANDIDATES
from gpu_runtime.errors import SpecMismatchError

CPU = torch.device('cpu')
Candidates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def candidates(number: int, *, classes: int = 80, side_px: float = 100.0) -> Candidates:
    """Return random boxes in a 640 px square; scores are all different."""
    generator = torch.Generator().manual_seed(number + classes)
    corner = torch.rand((number, 2), generator=generator) * 640
    size = torch.rand((number, 2), generator=generator) * side_px + 1
    scores = (torch.randperm(number, generator=generator) + 1).float() / (number + 1)
    class_ids = torch.randint(0, classes, (number,), generator=generator)
    return torch.cat((corner, corner + size), dim=1), scores, class_ids


def single(score: float = 0.9, class_id: int = 2) -> Candidates:
    """Return one candidate."""
    box = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    return box, torch.tensor([score]), torch.tensor([class_id])


@pytest.mark.parametrize('iou_threshold', [0.3, 0.45, 0.7])
@pytest.mark.parametrize(
    ('number', 'classes', 'side_px', 'score_threshold', 'max_detections'),
    [
        (1, 1, 50.0, 0.0, 5),
        (64, 1, 300.0, 0.1, 300),
        (500, 80, 100.0, 0.25, 300),
        (1000, 1, 300.0, 0.0, 1000),
        (1000, 3, 400.0, 0.0, 10),
        (8400, 80, 100.0, 0.5, 300),
        (8400, 2, 20.0, 0.01, 8400),
    ],
)
def test_equals_torchvision(
    number: int,
    classes: int,
    side_px: float,
    score_threshold: float,
    max_detections: int,
    iou_threshold: float,
) -> None:
    boxes, scores, class_ids = candidates(number, classes=classes, side_px=side_px)
    found = batched_nms(
        boxes,
        scores,
        class_ids,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )
    passed = (scores >= score_threshold).nonzero().squeeze(1)
    kept = passed[torchvision_nms(boxes[passed], scores[passed], class_ids[passed], iou_threshold)]
    kept = kept[:max_detections]
    count = int(found.count)
    assert count == len(kept)
    assert torch.equal(found.boxes[:count], boxes[kept])
    assert torch.equal(found.scores[:count], scores[kept])
    assert torch.equal(found.class_ids[:count], class_ids[kept])
    assert found.boxes.shape == (max_detections, 4)
    for rest in (found.boxes[count:], found.scores[count:], found.class_ids[count:]):
        assert not rest.any()


@pytest.mark.parametrize(
    'given', [candidates(0), candidates(50)], ids=['no candidates', 'all below threshold']
)
def test_nothing_to_keep(given: Candidates) -> None:
    found = batched_nms(*given, score_threshold=2.0, iou_threshold=0.5, max_detections=7)
    assert int(found.count) == 0
    assert not found.packed().any()
    assert found.packed().shape == (8, 6)


def test_the_score_threshold_itself_passes() -> None:
    half = single(score=0.5)
    found = batched_nms(*half, score_threshold=0.5, iou_threshold=0.5, max_detections=1)
    assert int(found.count) == 1


def test_an_overlap_of_exactly_the_threshold_is_kept() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
    scores, class_ids = torch.tensor([0.9, 0.8]), torch.tensor([0, 0])
    kept = [
        int(
            batched_nms(
                boxes,
                scores,
                class_ids,
                score_threshold=0.0,
                iou_threshold=threshold,
                max_detections=2,
            ).count
        )
        for threshold in (0.5, 0.4999)
    ]
    assert kept == [2, 1]


def test_equal_boxes_of_other_classes_stay_and_ties_rank_by_input() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(4, 1)
    scores, class_ids = torch.full((4,), 0.5), torch.tensor([3, 1, 3, 2])
    found = batched_nms(
        boxes, scores, class_ids, score_threshold=0.1, iou_threshold=0.5, max_detections=4
    )
    assert found.class_ids.tolist() == [3, 1, 2, 0]
    assert int(found.count) == 3


def test_class_mask_drops_classes_and_ids_outside_it() -> None:
    boxes = torch.arange(5.0)[:, None] * 100 + torch.tensor([0.0, 0.0, 10.0, 10.0])
    scores, class_ids = torch.full((5,), 0.5), torch.tensor([0, 1, 2, 3, -1])
    mask = torch.tensor([True, False, True])
    found = batched_nms(
        boxes,
        scores,
        class_ids,
        score_threshold=0.1,
        iou_threshold=0.5,
        max_detections=5,
        class_mask=mask,
    )
    assert found.class_ids[: int(found.count)].tolist() == [0, 2]
    none = batched_nms(
        boxes,
        scores,
        class_ids,
        score_threshold=0.1,
        iou_threshold=0.5,
        max_detections=5,
        class_mask=mask[:0],
    )
    assert int(none.count) == 0


def test_nan_scores_never_pass() -> None:
    broken = single(score=float('nan'))
    found = batched_nms(*broken, score_threshold=0.0, iou_threshold=0.5, max_detections=1)
    assert int(found.count) == 0


def test_packed_and_unpack_are_inverse() -> None:
    boxes, scores, class_ids = candidates(40, classes=1000)
    found = batched_nms(
        boxes, scores, class_ids, score_threshold=0.5, iou_threshold=0.5, max_detections=64
    )
    rows = found.packed().numpy()
    assert rows.dtype == np.float32
    assert rows.shape == (65, 6)
    count = int(found.count)
    assert rows[0].tolist() == [count, 0, 0, 0, 0, 0]
    unpacked = Detections.unpack(rows)
    for got, expected in zip(unpacked, (found.boxes, found.scores, found.class_ids), strict=True):
        assert got.dtype == expected.numpy().dtype
        np.testing.assert_array_equal(got, expected[:count].numpy())
    rows[:] = 0
    assert unpacked[1].all()


def test_empty_detections() -> None:
    boxes, scores, class_ids = Detections.unpack(Detections.empty(3, CPU).packed().numpy())
    assert (boxes.shape, scores.shape, class_ids.shape) == ((0, 4), (0,), (0,))


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        (np.zeros((3, 5), np.float32), r'\(3, 5\)'),
        (np.zeros(6, np.float32), r'\(6,\)'),
        (np.zeros((0, 6), np.float32), r'\(0, 6\)'),
        (np.full((3, 6), 3, np.float32), 'count 3'),
        (np.full((3, 6), -1, np.float32), 'count -1'),
        (np.full((3, 6), 0.5, np.float32), 'count 0.5'),
        (np.full((3, 6), np.nan, np.float32), 'count nan'),
    ],
)
def test_rows_that_are_no_detections_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(SpecMismatchError, match=message):
        Detections.unpack(rows)


@pytest.mark.parametrize(
    ('index', 'tensor', 'message'),
    [
        (0, torch.zeros((1, 5)), 'boxes'),
        (0, torch.zeros((1, 4), dtype=torch.float16), 'boxes'),
        (1, torch.zeros(2), 'scores'),
        (2, torch.zeros(1, dtype=torch.int32), 'class_ids'),
        (2, torch.zeros(1, dtype=torch.int64, device='meta'), 'class_ids'),
    ],
)
def test_unfit_tensors_are_refused(index: int, tensor: torch.Tensor, message: str) -> None:
    given = list(single())
    given[index] = tensor
    with pytest.raises(SpecMismatchError, match=message):
        batched_nms(*given, score_threshold=0.5, iou_threshold=0.5, max_detections=1)


@pytest.mark.parametrize(
    'limits',
    [
        {'score_threshold': float('nan'), 'iou_threshold': 0.5, 'max_detections': 1},
        {'score_threshold': 0.5, 'iou_threshold': float('inf'), 'max_detections': 1},
        {'score_threshold': 0.5, 'iou_threshold': 0.5, 'max_detections': 0},
    ],
)
def test_unfit_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(SpecMismatchError, match='batched_nms'):
        batched_nms(*single(), **limits)  # type: ignore[arg-type]


def test_too_many_candidates_are_refused() -> None:
    number = MAX_CANDIDATES + 1
    with pytest.raises(SpecMismatchError, match='top scores'):
        batched_nms(
            torch.zeros((number, 4)),
            torch.zeros(number),
            torch.zeros(number, dtype=torch.int64),
            score_threshold=0.5,
            iou_threshold=0.5,
            max_detections=1,
        )


@pytest.mark.parametrize('value', [0.0, 0.1, 0.45, 0.5, 0.65, 0.7, 1 / 3, 1.0])
def test_threshold_in_float32_decides_as_in_double(value: float) -> None:
    single_precision = float32_at_most(value)
    assert float(single_precision) <= value
    assert float(np.nextafter(single_precision, np.float32(np.inf))) > value


def test_the_kernels_compile_without_a_gpu() -> None:
    assert compile_for_gpu(nms_kernel.SOURCE).count(b'.visible .entry') == 4


def test_constants_of_the_launches_are_those_of_the_source() -> None:
    share = nms_kernel.RANKED_PER_BLOCK * 32 // nms_kernel.RANK_THREADS
    constants = (nms_kernel.TILE, share, nms_kernel.MOST_TILES)
    assert 'TILE = {}, SHARE = {}, MOST_TILES = {};'.format(*constants) in nms_kernel.SOURCE
    assert nms_kernel.MOST_TILES * nms_kernel.TILE == MAX_CANDIDATES
    assert nms_kernel.SWEEP_THREADS % nms_kernel.TILE == 0


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> cuda_nms.CudaNms:
    """Return the CUDA source, compiled as C++ and launched as on a device."""
    monkeypatch.setattr(cuda_nms, 'CupyKernel', HostKernel)
    return cuda_nms.CudaNms(CPU)


def assert_kernels_do_the_same(
    kernels: cuda_nms.CudaNms, given: Candidates, *, score: float, iou: float, limit: int
) -> int:
    """Compare with the path of the host, bit by bit, and return how many are kept."""
    found = kernels(*given, given[1] >= score, iou, limit)
    expected = batched_nms(*given, score_threshold=score, iou_threshold=iou, max_detections=limit)
    for name in ('count', 'scores', 'class_ids'):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(found.boxes.nan_to_num(7), expected.boxes.nan_to_num(7))
    return int(found.count)


@pytest.mark.parametrize('iou', [0.3, 0.7])
@pytest.mark.parametrize(
    ('number', 'classes', 'side_px', 'score', 'limit'),
    [
        (1, 1, 50.0, 0.0, 5),
        (1, 1, 50.0, 2.0, 5),
        (63, 3, 100.0, 0.1, 300),
        (64, 1, 300.0, 0.0, 300),
        (65, 1, 300.0, 0.0, 300),
        (200, 2, 300.0, 2.0, 5),  # none valid
        (300, 80, 100.0, 0.5, 300),
        (640, 5, 300.0, 0.0, 500),  # as levels of a pyramid: several tiles each
        (640, 1, 100.0, 0.0, 640),
        (640, 1, 400.0, 0.0, 20),  # full long before the end
        (1100, 600, 400.0, 0.1, 1100),  # more kept than the last kernel has threads
    ],
)
def test_the_source_of_the_kernels_keeps_the_same(
    kernels: cuda_nms.CudaNms,
    number: int,
    classes: int,
    side_px: float,
    score: float,
    limit: int,
    iou: float,
) -> None:
    given = candidates(number, classes=classes, side_px=side_px)
    kept = assert_kernels_do_the_same(kernels, given, score=score, iou=iou, limit=limit)
    assert kept > 0 or score > 1


@pytest.mark.parametrize('iou', [0.0, 1 / 3, 1.0])
def test_ties_in_the_source_of_the_kernels(kernels: cuda_nms.CudaNms, iou: float) -> None:
    boxes, scores, class_ids = candidates(400, classes=2, side_px=5.0)
    given = ((boxes / 32).round(), (scores * 5).round() / 5, class_ids * 10**12 - 1)
    assert_kernels_do_the_same(kernels, given, score=0.2, iou=iou, limit=400)


def test_one_box_suppresses_all(kernels: cuda_nms.CudaNms) -> None:
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0]]).repeat(150, 1)
    given = (boxes, torch.linspace(0.1, 1, 150), torch.zeros(150, dtype=torch.int64))
    assert assert_kernels_do_the_same(kernels, given, score=0.0, iou=0.5, limit=9) == 1


def test_a_chain_of_overlaps_keeps_every_other_box(kernels: cuda_nms.CudaNms) -> None:
    left = torch.arange(200.0) * 4
    boxes = torch.stack((left, left * 0, left + 10, left * 0 + 10), dim=1)
    given = (boxes, torch.linspace(1, 0.1, 200), torch.zeros(200, dtype=torch.int64))
    assert assert_kernels_do_the_same(kernels, given, score=0.0, iou=0.4, limit=200) == 100


def test_broken_numbers_in_the_source_of_the_kernels(kernels: cuda_nms.CudaNms) -> None:
    boxes, scores, class_ids = candidates(200, classes=1, side_px=300.0)
    scores[::7] = float('nan')
    boxes[1::11] = float('nan')
    boxes[3::13] = float('inf')
    given = (boxes, scores, class_ids)
    assert_kernels_do_the_same(kernels, given, score=0.1, iou=0.5, limit=200)
