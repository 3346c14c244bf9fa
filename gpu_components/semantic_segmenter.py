# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that gives each pixel of a picture a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo
from vision_msgs.msg import VisionClass

from gpu_components.component import Component
from gpu_components.messages import header_message
from gpu_components.network_parameters import NetworkParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_runtime.detection import load_labels
from gpu_runtime.errors import ParameterError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.segmentation import colored
from gpu_runtime.segmentation import load_palette
from gpu_runtime.segmentation import Segmenter

if TYPE_CHECKING:
    import torch

    from gpu_components.output import Results
    from gpu_runtime.detection import LabelMap
    from gpu_runtime.frame import Frame
    from gpu_runtime.header import Header
    from gpu_runtime.stream import Stream


MAPS = ('gpu_semantic_map', 'gpu_semantic_color')
"""Outputs that need the network."""


@dataclass(frozen=True)
class SemanticSegmenterParameters(NetworkParameters):
    """Parameters of :class:`SemanticSegmenter`."""

    model: str = parameter(
        'torchvision/deeplabv3_mobilenet_v3_large',
        'torchvision/NAME, or a model file (.onnx, .pt2, .pt) by path or package:// name.',
        prepares=True,
    )
    # Of a DeepLab v3 on 100 COCO photographs: mean IoU .483; .458 stretched, .465 centred.
    fit: str = parameter(
        Fit.LETTERBOX_TOP_LEFT.value,
        'How pictures of another aspect are brought to the size of the input.',
        choices=tuple(fit.value for fit in Fit),
        prepares=True,
    )
    confidence_floor: float = parameter(
        0.0, 'Pixels with a lower score become void_class; 0 for none.', ge=0.0, le=1.0
    )
    void_class: int = parameter(
        255, 'Class id of pixels below the confidence floor.', ge=0, le=255
    )
    palette: str | StringList = parameter(
        'pascal', 'Colours: pascal, or a list of #rrggbb by class id or NAME=#rrggbb.'
    )


class SemanticSegmenter(Component[SemanticSegmenterParameters, Segmenter]):
    """Gives each pixel of a picture a class, at the size of the picture."""

    parameters = SemanticSegmenterParameters
    inputs = ('image_raw',)
    outputs = (
        Output('gpu_semantic_map', Image, bus=True),
        Output('gpu_semantic_color', Image, bus=True),
        Output('label_info', LabelInfo, latched=True),
    )
    capturable = True
    _announced: tuple[LabelMap, float] | None = None
    _palette: tuple[tuple[str | StringList, LabelMap], torch.Tensor] | None = None

    def check(self, params: SemanticSegmenterParameters) -> None:
        """
        Refuse models, labels, inputs and colours that cannot work.

        Parameters
        ----------
        params : SemanticSegmenterParameters
            The values to check.

        """
        params.inspect(self.context)
        params.input_spec('segmentation')
        names = None if params.labels == 'auto' else load_labels(params.label_source)
        load_palette(params.palette, names)
        self._check_with_network(params)

    def _check_with_network(self, params: SemanticSegmenterParameters) -> None:
        """Refuse what does not fit the network in use, if it stays in use."""
        used = getattr(self, 'prepared', None)
        if used is None or (params.model, params.labels) != (
            self.params.model,
            self.params.labels,
        ):
            return
        load_palette(params.palette, used.labels)
        _require_scores(used, params)

    def prepare(self, params: SemanticSegmenterParameters) -> Segmenter:
        """
        Load and warm the network.

        Parameters
        ----------
        params : SemanticSegmenterParameters
            Which network.

        Returns
        -------
        Segmenter
            Closed by the framework.

        """
        segmenter = Segmenter.warmed(
            params.load(self.context, widen=False),
            params.input_spec('segmentation'),
            device=self.context.device,
            labels=params.label_source,
            activation=params.activation,
        )
        try:
            load_palette(params.palette, segmenter.labels)
            _require_scores(segmenter, params)
        except ParameterError:
            segmenter.close()
            raise
        return segmenter

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Enqueue one picture: prepare, network, class ids, colours.

        Parameters
        ----------
        frame : Frame
            The picture.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        dict
            What is wanted now: class ids, colours, and names when they are news.

        """
        results: dict[str, Frame | Result] = {}
        if self.wants('label_info'):
            results |= self._news()
        wanted = [topic for topic in MAPS if self.wants(topic)]
        if not wanted:
            return results
        ids = self.prepared(
            frame.tensor(self.prepared.spec, stream),
            confidence_floor=self.params.confidence_floor,
            void_class=self.params.void_class,
        )
        for topic in wanted:
            colour = topic == 'gpu_semantic_color'
            picture = colored(ids, self._colors()) if colour else ids
            width, height = frame.format.width, frame.format.height
            layout = ImageFormat(
                width, height, 'rgb8' if colour else 'mono8', width * (3 if colour else 1)
            )
            results[topic] = self.context.derived_frame(frame, layout, picture, stream)
        return results

    def _colors(self) -> torch.Tensor:
        """Return the colours on the device; uploaded once per change of them."""
        wanted = (self.params.palette, self.prepared.labels)
        if self._palette is None or self._palette[0] != wanted:
            self._palette = wanted, load_palette(*wanted).to(self.context.device)
        return self._palette[1]

    def _news(self) -> dict[str, Result]:
        """Return the names of the classes if they changed since they were told last."""
        news = (self.prepared.labels, self.params.confidence_floor)
        if news == self._announced:
            return {}
        self._announced = news

        def message(header: Header) -> LabelInfo:
            return label_info_message(header, *news)

        return {'label_info': Result((), message)}


def label_info_message(header: Header, labels: LabelMap, threshold: float) -> LabelInfo:
    """
    Return what the class ids of a map mean.

    Parameters
    ----------
    header : Header
        Of the first picture that it holds for.
    labels : LabelMap
        Names of the classes.
    threshold : float
        Smallest score of a pixel.

    Returns
    -------
    vision_msgs.msg.LabelInfo
        One entry per class.

    """
    names = enumerate(labels.names)
    classes = [VisionClass(class_id=number, class_name=name) for number, name in names]
    return LabelInfo(header=header_message(header), class_map=classes, threshold=threshold)


def _require_scores(segmenter: Segmenter, params: SemanticSegmenterParameters) -> None:
    if params.confidence_floor > 0.0 and not segmenter.scored:
        raise ParameterError(
            f'confidence_floor is {params.confidence_floor}; the network returns class ids '
            'without scores: expected 0'
        )
