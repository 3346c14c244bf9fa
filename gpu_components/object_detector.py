# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that finds objects: boxes, classes and scores of one picture after the other."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from gpu_components.camera_topics import check_cameras
from gpu_components.component import Component
from gpu_components.detection_messages import detections_message
from gpu_components.messages import image_message
from gpu_components.object_detector_parameters import ObjectDetectorParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.overlay import draw_detections
from gpu_components.parameters import StringList
from gpu_components.resources import resolve_path
from gpu_runtime.detection import Decoder
from gpu_runtime.detection import DetectedFrame
from gpu_runtime.detection import DetectionLimits
from gpu_runtime.detection import Detections
from gpu_runtime.detection import Detector
from gpu_runtime.detection import LimitsBlock
from gpu_runtime.drawable import drawable_pixels
from gpu_runtime.header import Header

if TYPE_CHECKING:
    import torch

    from gpu_components.output import Results
    from gpu_components.serialized import Serialized
    from gpu_runtime.detection import LabelMap
    from gpu_runtime.frame import Frame
    from gpu_runtime.image_format import ImageFormat
    from gpu_runtime.stream import Stream

# Filters looked up; a process has a handful of detectors.
_REMEMBERED = 16


class ObjectDetector(Component[ObjectDetectorParameters, Detector]):
    """Finds objects in pictures and publishes their boxes, in pixels of the source picture."""

    parameters = ObjectDetectorParameters
    inputs = ('input_image',)
    outputs = (
        Output('object_detections', Detection2DArray, bus=True),
        Output('detections_overlay', Image),
    )
    capturable = True

    def check(self, params: ObjectDetectorParameters) -> None:
        """
        Refuse models, presets, labels and filters that cannot work.

        Parameters
        ----------
        params : ObjectDetectorParameters
            The values to check.

        """
        params.source.inspect(
            weights=resolve_path(params.weights),
            allow_unsafe_models=self.context.allow_unsafe_models,
        )
        params.label_map(params.make_preset()).ids(params.class_filter)
        check_cameras(params.cameras)

    def cameras(self, params: ObjectDetectorParameters) -> tuple[str, ...]:
        """
        Return the cameras that the parameter names.

        Parameters
        ----------
        params : ObjectDetectorParameters
            The values to use.

        Returns
        -------
        tuple of str
            One camera with plain topics where none is named.

        """
        return params.cameras or ('',)

    def batch(self, params: ObjectDetectorParameters) -> tuple[int, float]:
        """
        Return how many pictures go together.

        Parameters
        ----------
        params : ObjectDetectorParameters
            The present values.

        Returns
        -------
        tuple
            Pictures at most, and seconds that the first waits.

        """
        return params.max_batch, params.max_wait_ms * 1e-3

    def prepare(self, params: ObjectDetectorParameters) -> Detector:
        """
        Load and warm the network.

        Parameters
        ----------
        params : ObjectDetectorParameters
            Which network.

        Returns
        -------
        Detector
            Closed by the framework.

        """
        device, preset = self.context.device, params.make_preset()
        labels = params.label_map(preset)
        block = LimitsBlock(
            device, self.context.pinned, pictures=params.max_batch, classes=len(labels)
        )
        decoder = Decoder(preset, block)
        model = params.load(self.context, decoder)
        detector = Detector(model, decoder, preset.spec(params.precision), labels)
        try:
            detector.warm_up(device, params.precision)
        except Exception:
            detector.close()
            raise
        return detector

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Enqueue one picture: prepare it, then network and decoder together.

        Parameters
        ----------
        frame : Frame
            The picture.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        dict
            Detections, and the overlay while somebody looks at it.

        """
        detector = self.prepared
        found = detector(frame.tensor(detector.spec, stream), self._limits())
        return self._results(frame, found, stream)

    def compute_batch(self, frames: Sequence[Frame], stream: Stream) -> list[Results]:
        """
        Enqueue several pictures with one call of the network.

        Parameters
        ----------
        frames : sequence of Frame
            Pictures of any of the cameras.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        list of dict
            As :meth:`compute` returns them.

        """
        prepared = [frame.tensor(self.prepared.spec, stream) for frame in frames]
        found = self.prepared.batch(prepared, self._limits())
        return [self._results(*each, stream) for each in zip(frames, found, strict=True)]

    def _results(self, frame: Frame, found: torch.Tensor, stream: Stream) -> Results:
        results = {'object_detections': Result((found,), self._builder(), _detected)}
        if self.params.publish_overlay and self.wants('detections_overlay'):
            pixels, layout = drawable_pixels(frame, stream)
            draw = _overlay(layout, self.prepared.labels)
            results['detections_overlay'] = Result((found, pixels), draw)
        return results

    def _limits(self) -> DetectionLimits:
        return DetectionLimits(
            confidence_threshold=self.params.confidence_threshold,
            iou_threshold=self.params.iou_threshold,
            max_detections=self.params.max_detections,
            classes=_class_ids(self.params.class_filter, self.prepared.labels),
        )

    def _builder(self) -> Callable[..., Serialized]:
        """Return the builder of the message, with the labels and format of this frame."""
        name = str if self.params.class_id_format == 'index' else self.prepared.labels.name

        def build(header: Header, rows: Any) -> Serialized:
            boxes, scores, class_ids = Detections.unpack(rows)
            named = zip(map(name, class_ids.tolist()), scores.tolist(), strict=True)
            return detections_message(header, boxes, ([best] for best in named))

        return build


@lru_cache(maxsize=_REMEMBERED)
def _class_ids(names: StringList, labels: LabelMap) -> frozenset[int] | None:
    """Return the class ids of a filter, looked up once per change of it."""
    return frozenset(labels.ids(names)) if names else None


def _detected(frame: Frame, tensors: tuple[torch.Tensor, ...], stream: Stream) -> DetectedFrame:
    """Return what a classifier of regions reads."""
    (rows,) = tensors
    return DetectedFrame(frame, rows, stream.record())


def _overlay(layout: ImageFormat, labels: LabelMap) -> Callable[..., Serialized]:
    """Return the builder of the annotated picture."""

    def build(header: Header, rows: Any, data: Any) -> Serialized:
        boxes, scores, class_ids = Detections.unpack(rows)
        names = [labels.name(i) for i in class_ids.tolist()]
        draw_detections(data, layout, boxes, scores, names)
        return image_message(header, layout, data)

    return build
