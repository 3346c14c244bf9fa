# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Decoders read changing numbers from their block alone, and obey them in the next call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from detector_families import CHANGES
from detector_families import CLASSES
from detector_families import families
from detector_families import HERE
from detector_families import LIMITS
from detector_families import Recalls
from detector_families import THERE
from detector_families import WH
import numpy as np
import pytest
from test_torchvision_detectors import Crossings
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torchvision.ops import box_iou

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.affine_map import boxes_to_source
from gpu_runtime.detection import batched_nms
from gpu_runtime.detection import candidates
from gpu_runtime.detection import Decoder
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import Detections
from gpu_runtime.detection import Detector
from gpu_runtime.detection import LabelMap
from gpu_runtime.detection import LimitsBlock
from gpu_runtime.detection import PictureLimits
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.pinned_pool import PinnedPool
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import PreparedTensor

CPU = torch.device('cpu')


def block_of(pictures: int = 1, capacity: int = 200) -> LimitsBlock:
    """Return a block on the CPU."""
    return LimitsBlock(CPU, PinnedPool(CPU), pictures=pictures, classes=CLASSES, capacity=capacity)


def suppress_at_once(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    *,
    score_threshold: torch.Tensor,
    iou_threshold: torch.Tensor,
    max_detections: int,
) -> Detections:
    """Stand in for the kernels, in fixed shapes: who overlaps a better one goes."""
    other = (class_ids[:, None] != class_ids) | (scores[:, None] >= scores)
    free = ((box_iou(boxes, boxes) <= iou_threshold) | other).all(dim=1)
    scores = torch.where(free & (scores >= score_threshold), scores, 0.0)
    found = Detections.empty(max_detections, boxes.device)
    scores, order = scores.topk(min(max_detections, scores.shape[0]))
    rows, valid = slice(0, scores.shape[0]), scores > 0
    found.boxes[rows] = torch.where(valid[:, None], boxes[order], 0.0)
    found.scores[rows] = scores
    found.class_ids[rows] = torch.where(valid, class_ids[order], 0)
    found.count.copy_(valid.sum())
    return found


@pytest.mark.parametrize('number', range(6))
def test_what_is_recorded_once_obeys_all_changes(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace keeps every number of the host, as a CUDA graph does: there must be none."""
    monkeypatch.setattr(candidates, 'batched_nms', suppress_at_once)
    preset, outputs = list(families())[number]
    decoder = Decoder(preset, block_of())
    picture = (torch.zeros(1, 3, 1, 1),)
    decoder(outputs, picture)  # fills the preset's caches
    recorded = make_fx(lambda *given: decoder(given, picture)[0])(*outputs)
    seen = set()
    for limits, place in CHANGES:
        decoder.block.write(limits, [place])
        asked = PictureLimits.of(replace(limits, max_detections=200), place, CPU, classes=CLASSES)
        want = preset.decode(outputs, asked)
        count = min(int(want.count), limits.max_detections)
        found = Detections.of_packed(recorded(*outputs)[0])
        assert int(found.count) == count
        for part in ('boxes', 'scores', 'class_ids'):
            got = getattr(found, part)
            assert torch.equal(got[:count], getattr(want, part)[:count])
            assert not got[count:].any()
        seen.add((count, float(found.boxes.sum())))
    assert len(seen) >= 5, 'the changes change nothing'


@pytest.mark.parametrize('number', range(6))
def test_nothing_waits_for_the_device(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device without values no number can be read, and none of the host is copied there."""

    def kernels(boxes: torch.Tensor, *_: Any, max_detections: int, **__: Any) -> Detections:
        return Detections.empty(max_detections, boxes.device)

    monkeypatch.setattr(candidates, 'batched_nms', kernels)  # in a graph: test_gpu_nms
    preset, outputs = list(families())[number]
    with FakeTensorMode(), torch.inference_mode():
        outputs = tuple(torch.empty(t.shape, dtype=t.dtype, device='cuda') for t in outputs)
        row = torch.empty(96, dtype=torch.uint8, device='cuda')
        for cache in ('_cells', '_grids'):
            if hasattr(preset, cache):  # filled while the network warms up
                tensor = torch.empty(getattr(preset, CACHES[cache])(CPU).shape, device='cuda')
                setattr(preset, cache, {outputs[0].device: tensor})
        with Crossings() as crossings:
            found = preset.decode(outputs, PictureLimits(row, CLASSES, 40)).packed()
    assert found.shape == (41, 6)
    assert crossings.operations > 10
    assert crossings.found == []


CACHES = {'_cells': '_cell_centres', '_grids': '_grid'}


def test_numbers_of_the_device_decide_as_those_of_the_host() -> None:
    """To the bit: the map, and both thresholds."""
    generator = torch.Generator().manual_seed(1)
    boxes = torch.rand((500, 4), generator=generator) * 700 - 30
    for fit in Fit:
        place = AffineMap.fit(TensorSpec(640, 480, fit), 1281, 719)
        x = ((boxes[:, 0::2] - place.offset_x) / place.scale_x).clamp(0, 1281)
        y = ((boxes[:, 1::2] - place.offset_y) / place.scale_y).clamp(0, 719)
        want = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)
        assert torch.equal(boxes_to_source(boxes, torch.tensor(place.numbers)), want)
    corners = torch.cat((boxes[:, :2], boxes[:, :2] + 40), dim=1).round()
    scores = (torch.rand(500, generator=generator) * 20).round() / 20
    class_ids = torch.randint(0, 3, (500,), generator=generator)
    for confidence, iou in ((0.3, 1 / 3), (0.7, 0.6), (0.05, 0.1)):
        asked = PictureLimits.of(DetectionLimits(confidence, iou), HERE, CPU)
        found = [
            batched_nms(
                corners,
                scores,
                class_ids,
                score_threshold=score,
                iou_threshold=overlap,
                max_detections=400,
            ).packed()
            for score, overlap in (
                (confidence, iou),
                (asked.confidence_threshold, asked.iou_threshold),
            )
        ]
        assert torch.equal(*found)


@pytest.mark.parametrize('threshold', [torch.tensor([0.5]), torch.tensor(0.5).double()])
def test_thresholds_of_another_form_are_refused(threshold: torch.Tensor) -> None:
    given = torch.zeros(1, 4), torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(SpecMismatchError, match='a threshold is'):
        batched_nms(*given, score_threshold=threshold, iou_threshold=0.5, max_detections=1)


def test_classes_without_a_name_pass_unless_there_is_a_filter() -> None:
    ids = torch.tensor([0, 3, 7, 8, 1000, -1, -5])
    everything = PictureLimits.of(DetectionLimits(), HERE, CPU, classes=CLASSES)
    assert everything.allows(ids).all()
    limits = DetectionLimits(classes=frozenset({3, 7}))
    some = PictureLimits.of(limits, HERE, CPU, classes=CLASSES)
    assert some.allows(ids).tolist() == [False, True, True] + [False] * 4
    for unknown in (8, -1):
        with pytest.raises(SpecMismatchError, match='expected ids from 0 to 7'):
            wrong = DetectionLimits(classes=frozenset({unknown}))
            PictureLimits.of(wrong, HERE, CPU, classes=CLASSES)


@pytest.mark.parametrize('number', range(5))
def test_each_picture_of_a_batch_has_its_own_row(number: int) -> None:
    """Its own map; and the next batch, which is smaller, leaves the others alone."""
    preset, outputs = list(families(3))[number]
    decoder = Decoder(preset, block_of(pictures=3))
    places = [HERE, THERE, HERE]
    decoder.block.write(LIMITS, places)
    (together,) = decoder(outputs, (torch.zeros(3, 3, 1, 1),))
    for index, place in enumerate(places):
        alone = Decoder(preset, block_of())
        alone.block.write(LIMITS, [place])
        one = tuple(output[index : index + 1] for output in outputs)
        (found,) = alone(one, (torch.zeros(1, 3, 1, 1),))
        assert float(found[0, 0, 0]) > 0
        assert torch.equal(together[index], found[0])
    assert not torch.equal(together[0, :, :4], together[1, :, :4])
    decoder.block.write(LIMITS, [THERE])
    again = decoder(outputs, (torch.zeros(3, 3, 1, 1),))[0]
    assert torch.equal(again[1:], together[1:])


def test_a_detector_obeys_from_one_frame_to_the_next() -> None:
    """Thresholds, filter, number and size of the picture; results stay after the next call."""
    preset, outputs = next(families())
    decoder = Decoder(preset, block_of())
    model = EagerModel(Forward(Recalls(outputs), finish=decoder))
    detector = Detector(model, decoder, preset.spec(), LabelMap(map(str, range(CLASSES))))
    detector.warm_up(CPU, 'fp32')
    results = []
    for limits, place in CHANGES:
        prepared = PreparedTensor(torch.zeros(1, 3, *WH[::-1]), place, preset.spec())
        rows = detector(prepared, limits)
        boxes, scores, class_ids = Detections.unpack(rows.numpy())
        assert len(scores) <= limits.max_detections
        assert (scores >= np.float32(limits.confidence_threshold)).all()
        assert (boxes <= [*place.source_wh, *place.source_wh]).all()
        assert limits.classes is None or set(class_ids.tolist()) <= limits.classes
        results.append((rows, rows.clone()))
    assert torch.equal(results[0][0], results[-1][0])
    assert all(torch.equal(rows, copy) for rows, copy in results)
    counts = [int(rows[0, 0]) for rows, _ in results]
    assert counts[0] == counts[2] > counts[1] > 0
    assert counts[0] > counts[4] > counts[6] == 0
    assert counts[5] == 5


def test_only_changes_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    block = block_of(pictures=2)
    copies = []
    upload = block._upload
    monkeypatch.setattr(block, '_upload', lambda rows: (copies.append(rows), upload(rows)))
    for limits, places, total in (
        (LIMITS, [HERE], 1),
        (LIMITS, [HERE], 1),
        (replace(LIMITS), [HERE, THERE], 2),
        (LIMITS, [HERE], 2),
        (LIMITS, [HERE, THERE], 2),
        (replace(LIMITS, iou_threshold=0.4), [HERE], 3),
    ):
        block.write(limits, places)
        assert len(copies) == total
    assert float(block.pictures[0].iou_threshold) == pytest.approx(0.4)
    assert float(block.pictures[1].iou_threshold) == 0.5
    with torch.inference_mode():
        block.write(LIMITS, [THERE])
    block.write(LIMITS, [HERE])
    assert len(copies) == 5


def test_more_than_was_prepared_for_is_refused() -> None:
    block = block_of(pictures=1, capacity=10)
    small = replace(LIMITS, max_detections=10)
    with pytest.raises(SpecMismatchError, match='at most 1 of 10'):
        block.write(small, [HERE, HERE])
    with pytest.raises(SpecMismatchError, match='at most 1 of 10'):
        block.write(replace(LIMITS, max_detections=11), [HERE])
    block.write(small, [HERE])


def test_staging_memory_waits_for_its_copy() -> None:
    """It comes from the pool and goes back to it, with an event."""
    pool = PinnedPool(CPU)
    block = LimitsBlock(CPU, pool, classes=80)
    before = pool.report()
    for step in range(10):
        block.write(replace(LIMITS, confidence_threshold=step / 10), [HERE])
    assert (pool.report().slabs, pool.report().leased) == (before.slabs, 0)
    assert pool.close() == []
