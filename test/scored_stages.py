# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The stages that have a real network beside the project, and how their results are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy import classification_scores
from accuracy import depth_scores
from accuracy import detection_scores
from accuracy import Pixels
from accuracy import Score
from accuracy import segmentation_scores
from accuracy import SENSITIVE
from direct_stage import DirectStage
import numpy as np

from gpu_components.depth_estimator import DepthEstimator
from gpu_components.image_classifier import ImageClassifier
from gpu_components.object_detector import ObjectDetector
from gpu_components.semantic_segmenter import SemanticSegmenter
from gpu_runtime.detection import Detections
from gpu_runtime.gpu_context import GpuContext


@dataclass(frozen=True)
class Scored:
    """A component with a real network, and how its results are scored."""

    kind: type[Any]
    topic: str
    model: str
    values: Callable[[Path], dict[str, Any]]
    scores: Callable[[Path, Any], list[Score]]
    read: Callable[[DirectStage, Pixels], Any]

    def stage(self, context: GpuContext, shared_dir: Path, **values: Any) -> DirectStage:
        """Prepare the component; blocks."""
        model = {'model': str(shared_dir / 'models' / self.model)}
        given = {**model, **self.values(shared_dir), **values}
        return DirectStage(context, self.kind, (self.topic,), given)

    def measure(self, stage: DirectStage, shared_dir: Path) -> list[Score]:
        """Return the scores of a stage on the pictures beside the project."""
        return self.scores(shared_dir, lambda picture: self.read(stage, picture))


def _found(stage: DirectStage, picture: Pixels) -> list[tuple[int, float, Any]]:
    boxes, scores, class_ids = Detections.unpack(stage.answer(picture))
    return list(zip(class_ids.tolist(), scores.tolist(), boxes, strict=True))


def _named(stage: DirectStage, picture: Pixels) -> tuple[str, float]:
    class_id, score = stage.answer(picture)[0]
    return stage.component.prepared.labels.name(int(class_id)), float(score)


def _class_ids(stage: DirectStage, picture: Pixels) -> Any:
    return stage.answer(picture).reshape(picture.shape[:2])


def _metres(stage: DirectStage, picture: Pixels) -> Any:
    return stage.answer(picture).view(np.float32).reshape(picture.shape[:2])


SCORED = {
    'detector': Scored(
        ObjectDetector,
        'object_detections',
        'detection/yolox_nano_coco_416.onnx',
        lambda shared: SENSITIVE,
        detection_scores,
        _found,
    ),
    'segmenter': Scored(
        SemanticSegmenter,
        'gpu_semantic_map',
        'segmentation/deeplabv3_mnv2_voc21_513.onnx',
        lambda shared: {'normalization': 'symmetric'},
        segmentation_scores,
        _class_ids,
    ),
    'depth': Scored(
        DepthEstimator,
        'gpu_depth_map',
        'depth/fastdepth_pruned_nyu_224.onnx',
        lambda shared: {'normalization': 'unit'},
        depth_scores,
        _metres,
    ),
    'classifier': Scored(
        ImageClassifier,
        'classification',
        'classification/efficientnet_lite0_imagenet.onnx',
        lambda shared: {
            'normalization': 'imagenet',
            'labels': str(shared / 'models/classification/imagenet_labels_1001.txt'),
        },
        classification_scores,
        _named,
    ),
}
