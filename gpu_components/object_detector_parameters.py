# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the object detector, and what they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_components.asked_size import asked_wh
from gpu_components.component_parameters import ComponentParameters
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_components.resources import resolve_path
from gpu_runtime.detection import load_labels
from gpu_runtime.detection import preset_names
from gpu_runtime.detection import resolve_preset
from gpu_runtime.detection.limits_block import CAPACITY
from gpu_runtime.models import BACKENDS
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PRECISIONS
from gpu_runtime.models.cuda_graph import MAX_GRAPHS
from gpu_runtime.models.factory import Backend
from gpu_runtime.models.precision import Precision

if TYPE_CHECKING:
    from gpu_runtime.detection import Decoder
    from gpu_runtime.detection import DetectionPreset
    from gpu_runtime.detection import LabelMap
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.models import Model


@dataclass(frozen=True)
class ObjectDetectorParameters(ComponentParameters):
    """Parameters of :class:`~gpu_components.object_detector.ObjectDetector`."""

    model: str = parameter(
        'torchvision/fasterrcnn_resnet50_fpn',
        'torchvision/NAME, or a model file (.onnx, .pt2, .pt) by path or package:// name.',
        prepares=True,
    )
    weights: str = parameter(
        'DEFAULT',
        'For torchvision models: DEFAULT, another published name, none, or a weights file.',
        prepares=True,
    )
    preset: str = parameter(
        'auto',
        'How to prepare the picture and read the outputs.',
        choices=preset_names(),
        prepares=True,
    )
    labels: str | StringList = parameter(
        'auto',
        'Class names: auto, a set (coco80, coco91, voc21, face), a file, or a list.',
        prepares=True,
    )
    backend: Backend = parameter('auto', 'What runs the network.', choices=BACKENDS, prepares=True)
    precision: Precision = parameter(
        'fp32', 'Arithmetic of the network.', choices=PRECISIONS, prepares=True
    )
    input_width: int = parameter(
        0, 'Width of the input; 0 takes the model.', unit='px', ge=0, le=8192, prepares=True
    )
    input_height: int = parameter(
        0, 'Height of the input; 0 takes the model.', unit='px', ge=0, le=8192, prepares=True
    )
    confidence_threshold: float = parameter(
        0.5, 'Smallest score that is reported.', ge=0.0, le=1.0
    )
    iou_threshold: float = parameter(
        0.5, 'Overlap above which the weaker of two boxes of a class goes.', ge=0.0, le=1.0
    )
    class_filter: StringList = parameter((), 'Class names to report; empty for all.')
    max_detections: int = parameter(100, 'Most boxes per picture.', ge=1, le=CAPACITY)
    class_id_format: str = parameter(
        'name', 'What class_id holds in the messages.', choices=('name', 'index')
    )
    publish_overlay: bool = parameter(
        True, 'Draw the boxes onto the picture while detections_overlay is subscribed.'
    )
    cameras: StringList = parameter(
        (),
        'Cameras to serve at once: NAME/input_image in, NAME/object_detections out for each; '
        'empty for one camera with plain names.',
        read_only=True,
    )
    max_batch: int = parameter(
        1,
        'Pictures that go through the network together.',
        unit='frames',
        ge=1,
        le=MAX_GRAPHS,
        prepares=True,
    )
    max_wait_ms: float = parameter(
        0.0,
        'How long a picture waits for others to fill a batch; 0 takes what is there.',
        unit='ms',
        ge=0.0,
        le=1000.0,
    )

    @property
    def source(self) -> ModelSource:
        """Where the network comes from; not known to exist."""
        return ModelSource.parse(resolve_path(self.model))

    def make_preset(self) -> DetectionPreset:
        """
        Return how the network is fed and read.

        Returns
        -------
        DetectionPreset
            New.

        Raises
        ------
        GpuPerceptionError
            If no preset fits the model, or it has another size.

        """
        size = asked_wh(self.input_width, self.input_height)
        return resolve_preset(self.preset, self.source, input_wh=size)

    def label_map(self, preset: DetectionPreset) -> LabelMap:
        """
        Return the names of the classes.

        Parameters
        ----------
        preset : DetectionPreset
            Knows them where the parameter is ``auto``.

        Returns
        -------
        LabelMap
            New.

        Raises
        ------
        GpuPerceptionError
            If they cannot be read.

        """
        if self.labels == 'auto':
            return load_labels(preset.default_labels)
        if isinstance(self.labels, str):
            return load_labels(resolve_path(self.labels))
        return load_labels(self.labels)

    def load(self, context: GpuContext, decoder: Decoder) -> Model:
        """
        Load the network; blocks.

        Parameters
        ----------
        context : GpuContext
            Where it runs.
        decoder : Decoder
            Reads its outputs, and knows whether its shapes are fixed.

        Returns
        -------
        Model
            Not yet prepared; closed by the caller.

        Raises
        ------
        ModelError
            If it cannot be loaded.

        """
        return load_model(
            self.source,
            device=context.device,
            backend=self.backend,
            precision=self.precision,
            weights=resolve_path(self.weights),
            allow_unsafe_models=context.allow_unsafe_models,
            capture_lock=context.capture_lock,
            engines=context.engines,
            fixed_shape=decoder.preset.fixed_shape,
            finish=decoder,
        )
