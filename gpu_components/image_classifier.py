# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that says what pictures show, or what is in the boxes of a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification
from vision_msgs.msg import Detection2DArray

from gpu_components.component import Component
from gpu_components.detection_messages import classification_message
from gpu_components.detection_messages import detections_message
from gpu_components.messages import image_message
from gpu_components.network_parameters import NetworkParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.overlay import draw_detections
from gpu_components.overlay import draw_lines
from gpu_components.parameters import parameter
from gpu_runtime.classification import Classifier
from gpu_runtime.classification import pack_regions
from gpu_runtime.classification import region_crops
from gpu_runtime.classification import unpack_regions
from gpu_runtime.detection import DetectedFrame
from gpu_runtime.detection import load_labels
from gpu_runtime.drawable import drawable_pixels
from gpu_runtime.errors import SpecMismatchError

if TYPE_CHECKING:
    from gpu_components.detection_messages import Named
    from gpu_components.output import Results
    from gpu_components.serialized import Serialized
    from gpu_runtime.frame import Frame
    from gpu_runtime.header import Header
    from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class ImageClassifierParameters(NetworkParameters):
    """Parameters of :class:`ImageClassifier`."""

    model: str = parameter(
        'torchvision/resnet18',
        'torchvision/NAME, or a model file (.onnx, .pt2, .pt) by path or package:// name.',
        prepares=True,
    )
    top_k: int = parameter(5, 'Most classes per picture or region.', ge=1, le=100)
    confidence_threshold: float = parameter(
        0.0, 'Smallest score that is reported.', ge=0.0, le=1.0
    )
    class_id_format: str = parameter(
        'name', 'What class_id holds in the messages.', choices=('name', 'index')
    )
    regions: bool = parameter(
        False,
        'Classify the boxes on object_detections, of a detector in this container, instead of '
        'whole pictures.',
        read_only=True,
    )
    max_regions: int = parameter(
        16,
        'Boxes per picture, the most certain first; the batch always has this size.',
        ge=1,
        le=256,
        prepares=True,
    )
    region_margin: float = parameter(
        0.0, 'Part of its size by which a box grows on each side.', ge=0.0, le=1.0
    )


class ImageClassifier(Component[ImageClassifierParameters, Classifier]):
    """Names what pictures show, or what each box of a detector holds."""

    parameters = ImageClassifierParameters
    inputs = ('input_image', 'object_detections')
    bus_inputs = frozenset({'object_detections'})
    outputs = (
        Output('classification', Classification),
        Output('classified_detections', Detection2DArray),
        Output('optimized_output', Image),
    )
    capturable = True

    def input_topic(self, params: ImageClassifierParameters) -> str:
        """
        Return the input to read.

        Parameters
        ----------
        params : ImageClassifierParameters
            Say whether regions are classified.

        Returns
        -------
        str
            ``object_detections`` or ``input_image``.

        """
        return self.inputs[1] if params.regions else self.inputs[0]

    def check(self, params: ImageClassifierParameters) -> None:
        """
        Refuse models, labels and inputs that cannot work.

        Parameters
        ----------
        params : ImageClassifierParameters
            The values to check.

        """
        params.inspect(self.context)
        params.input_spec('classification')
        if params.labels != 'auto':
            load_labels(params.label_source)

    def prepare(self, params: ImageClassifierParameters) -> Classifier:
        """
        Load and warm the network.

        Parameters
        ----------
        params : ImageClassifierParameters
            Which network.

        Returns
        -------
        Classifier
            Closed by the framework.

        """
        return Classifier.warmed(
            params.load(self.context),
            params.input_spec('classification'),
            device=self.context.device,
            batch=params.max_regions if params.regions else 1,
            labels=params.label_source,
            activation=params.activation,
        )

    def compute(self, frame: Frame | DetectedFrame, stream: Stream) -> Results:
        """
        Enqueue one picture, or the boxes of one.

        Parameters
        ----------
        frame : Frame or DetectedFrame
            The picture; with what was found in it where regions are classified.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        dict
            The classes, and the annotated picture while somebody looks at it.

        """
        if self.params.regions != isinstance(frame, DetectedFrame):
            topic = self.input_topic(self.params)
            raise SpecMismatchError(
                f'{topic} brings {type(frame).__name__}; regions={self.params.regions} expects '
                'detections of a component in this container where true, pictures where false: '
                f'remap {topic}'
            )
        if isinstance(frame, DetectedFrame):
            return self._classify_regions(frame, stream)
        prepared = frame.tensor(self.prepared.spec, stream).tensor
        top = self.prepared.top(prepared, self.params.top_k)[0]
        named = self._namer()

        def message(header: Header, rows: Any) -> Serialized:
            return classification_message(header, named(rows[:, 0], rows[:, 1]))

        results = {'classification': Result((top,), message)}
        if self.wants('optimized_output'):
            pixels, layout = drawable_pixels(frame, stream)

            def annotated(header: Header, rows: Any, data: Any) -> Serialized:
                draw_lines(data, layout, named(rows[:, 0], rows[:, 1]))
                return image_message(header, layout, data)

            results['optimized_output'] = Result((top, pixels), annotated)
        return results

    def _classify_regions(self, detected: DetectedFrame, stream: Stream) -> Results:
        params, frame, found = self.params, detected.frame, detected.use(stream)
        crops = region_crops(
            frame.tensor(self.prepared.picture_spec, stream).tensor,
            found.boxes,
            self.prepared.spec,
            count=params.max_regions,
            margin=params.region_margin,
        )
        table = pack_regions(found, self.prepared.top(crops, params.top_k))
        named = self._namer()

        def message(header: Header, rows: Any) -> Serialized:
            boxes, ids, scores = unpack_regions(rows)
            classes = map(named, ids, scores)
            return detections_message(header, boxes, classes)

        results = {'classified_detections': Result((table,), message)}
        if self.wants('optimized_output'):
            pixels, layout = drawable_pixels(frame, stream)

            def annotated(header: Header, rows: Any, data: Any) -> Serialized:
                boxes, ids, scores = unpack_regions(rows)
                best = [named(*pair)[:1] or [('', 0.0)] for pair in zip(ids, scores, strict=True)]
                names, sure = [row[0][0] for row in best], np.array([row[0][1] for row in best])
                draw_detections(data, layout, boxes, sure, names)
                return image_message(header, layout, data)

            results['optimized_output'] = Result((table, pixels), annotated)
        return results

    def _namer(self) -> Callable[[Any, Any], Named]:
        """Return what makes names of ids and leaves out what is uncertain, as of this frame."""
        params = self.params
        name = str if params.class_id_format == 'index' else self.prepared.labels.name

        def named(ids: Any, scores: Any) -> Named:
            pairs = zip(ids.tolist(), scores.tolist(), strict=True)
            return [(name(int(i)), s) for i, s in pairs if s >= params.confidence_threshold]

        return named
