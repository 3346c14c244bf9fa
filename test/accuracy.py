# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
How good results are on the real pictures beside the project, and how good they have to be.

Who asks gives a function from a picture to results; whatever runs the network is scored alike.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]
"""A picture, (H, W, 3) uint8, in BGR."""

MIN_AP = 0.30
MIN_PIXEL_ACCURACY = 0.86
MIN_MEAN_IOU = 0.47
MAX_ABS_REL = 0.03
MIN_CORRELATION = 0.95
MIN_ANSWERED = 0.99
"""Part of the pixels with a measured depth that have to get one."""
NAMED = (('hot_dog.jpg', 'hotdog', 0.80), ('parrot.jpg', 'macaw', 0.75))
"""Photograph, name of its class, smallest score."""

SENSITIVE = {'confidence_threshold': 0.01, 'iou_threshold': 0.65}
"""Parameters of a detector whose average precision is measured."""
PHOTOGRAPHS = 100
COCO_OF_VOC = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
"""COCO's panoptic category of each VOC class; categories of neither are background."""


@dataclass(frozen=True)
class Score:
    """A figure, and the limit that it must not be below; an error must not be above."""

    name: str
    value: float
    limit: float
    error: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is good enough; nan is not."""
        return self.value <= self.limit if self.error else self.value >= self.limit

    def __str__(self) -> str:
        sign = '<=' if self.error else '>='
        return f'{self.name:28s} {self.value:7.4f} {sign} {self.limit:.2f}'


def require_scores(scores: Iterable[Score], what: str = '') -> None:
    """Print each score in a row, with what it is of, and require all of them."""
    scores = list(scores)
    for score in scores:
        print(f'{what:60s} {score}' if what else score)
    poor = [str(score) for score in scores if not score.ok]
    assert not poor, f'{what}: {"; ".join(poor)}'


@lru_cache(maxsize=1)
def photographs(shared_dir: Path) -> tuple[tuple[str, Pixels], ...]:
    """Read COCO's photographs, by the stem that their labels have too."""
    paths = sorted((shared_dir / 'data/coco128/images/val2017').glob('*.jpg'))
    assert len(paths) == PHOTOGRAPHS
    return tuple((path.stem, cv2.imread(str(path))) for path in paths)


# -- detection -----------------------------------------------------------------------------------


def detection_scores(
    shared_dir: Path, find: Callable[[Pixels], Iterable[tuple[int, float, Any]]]
) -> list[Score]:
    """Return AP@[.5:.95] of class ids, scores and xyxy boxes; every photograph is answered."""
    folder = shared_dir / 'data/coco128/object_detection/labels/val2017'
    truth, results = Truth(), []
    for number, (stem, picture) in enumerate(photographs(shared_dir), 1):
        truth.add(number, picture, folder / f'{stem}.txt')
        for class_id, score, box in find(picture):
            results.append(_result_row(number, class_id, score, box))
    return [Score('AP@[.5:.95]', truth.average_precision(results), MIN_AP)]


def _result_row(number: int, class_id: int, score: float, box: Any) -> dict[str, Any]:
    """Return one detection as pycocotools reads it."""
    size = [float(v) for v in (*box[:2], *(box[2:] - box[:2]))]
    return {'image_id': number, 'category_id': class_id, 'bbox': size, 'score': score}


class Truth:
    """Ground truth of a set of pictures, from YOLO text files."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._boxes: list[dict[str, Any]] = []

    def add(self, number: int, picture: Pixels, label: Path) -> None:
        """Add one picture's boxes: class, centre and size as fractions of the picture."""
        height, width = picture.shape[:2]
        self._images.append({'id': number, 'width': width, 'height': height})
        for line in label.read_text().splitlines() if label.exists() else []:
            kind, cx, cy, w, h = (float(v) for v in line.split()[:5])
            box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            self._boxes.append(
                {
                    'id': len(self._boxes) + 1,
                    'image_id': number,
                    'category_id': int(kind),
                    'bbox': box,
                    'area': box[2] * box[3],
                    'iscrowd': 0,
                }
            )

    def average_precision(self, results: list[dict[str, Any]]) -> float:
        """Return AP@[.5:.95] over all classes, as COCO defines it."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        if not results:
            return 0.0
        coco = COCO()
        coco.dataset = {
            'images': self._images,
            'annotations': self._boxes,
            'categories': [{'id': i, 'name': str(i)} for i in range(80)],
        }
        with redirect_stdout(io.StringIO()):  # it tells of each step
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return float(evaluation.stats[0])


# -- segmentation --------------------------------------------------------------------------------


def segmentation_scores(shared_dir: Path, segment: Callable[[Pixels], Any]) -> list[Score]:
    """Return pixel accuracy and mean IoU of VOC's class ids; unlabelled pixels do not count."""
    folder = shared_dir / 'data/coco128/semantic_segmentation/masks/val2017'
    to_voc = np.zeros(256, np.int64)
    to_voc[list(COCO_OF_VOC)] = range(21)
    confusion = np.zeros((21, 21), np.int64)
    for stem, picture in photographs(shared_dir):
        truth = cv2.imread(str(folder / f'{stem}.png'), cv2.IMREAD_UNCHANGED)
        ids = segment(picture)
        counted = truth > 0
        pairs = to_voc[truth[counted]] * 21 + ids[counted]
        confusion += np.bincount(pairs, minlength=441).reshape(21, 21)
    hits = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    present = confusion.sum(axis=1) > 0
    mean_iou = float((hits[present] / union[present]).mean())
    return [
        Score('pixel accuracy', float(hits.sum() / confusion.sum()), MIN_PIXEL_ACCURACY),
        Score(f'mIoU of {present.sum()} classes', mean_iou, MIN_MEAN_IOU),
    ]


# -- depth ---------------------------------------------------------------------------------------


def depth_scores(shared_dir: Path, depth: Callable[[Pixels], Any]) -> list[Score]:
    """Compare metres with the authors' prediction, and with what a sensor measured."""
    folder = shared_dir / 'data/rgbd'
    rgb = np.round(np.load(folder / 'fastdepth_ref/rgb.npy') * 255).astype(np.uint8)
    expected = np.load(folder / 'fastdepth_ref/pred.npy')[0, 0]
    found = depth(np.ascontiguousarray(rgb[..., ::-1]))
    error = float(np.mean(np.abs(found - expected) / expected))
    correlations, answered = [], []
    for number in range(1, 6):
        found = depth(cv2.imread(str(folder / f'color/{number}.png')))
        measured = cv2.imread(str(folder / f'depth/{number}.pgm'), -1)
        assert found.shape == measured.shape
        both = (measured > 0) & np.isfinite(found)
        correlations.append(float(np.corrcoef(found[both], measured[both])[0, 1]))
        answered.append(float(both.sum() / (measured > 0).sum()))
    return [
        Score('abs-rel', error, MAX_ABS_REL, error=True),
        Score('correlation, lowest of 5', float(np.min(correlations)), MIN_CORRELATION),
        Score('pixels answered, lowest of 5', float(np.min(answered)), MIN_ANSWERED),
    ]


# -- classification ------------------------------------------------------------------------------


def classification_scores(
    shared_dir: Path, classify: Callable[[Pixels], tuple[str, float]]
) -> list[Score]:
    """Return the score of the best class of each photograph; 0 where that is a wrong one."""
    scores = []
    for file, name, least in NAMED:
        found, score = classify(cv2.imread(str(shared_dir / 'data/photos' / file)))
        right = found.split(',')[0].replace(' ', '') == name
        scores.append(Score(f'{file}: {found.split(",")[0]}', score if right else 0.0, least))
    return scores
