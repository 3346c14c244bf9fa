# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that changes pictures: a chain of operations named in a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from typing import TYPE_CHECKING

from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image

from gpu_components.camera_info import camera_info_message
from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_components.resources import resolve_path
from gpu_runtime.header import Header
from gpu_runtime.image_ops import ImageChain
from gpu_runtime.image_ops import Operation
from gpu_runtime.image_ops import parse_operations
from gpu_runtime.image_ops import Picture
from gpu_runtime.image_ops.network import Network

if TYPE_CHECKING:
    from gpu_components.output import Results
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.frame import Frame
    from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class ImageProcessorParameters(ComponentParameters):
    """Parameters of :class:`ImageProcessor`."""

    operations: StringList = parameter(
        (),
        'What is done, in this order, each NAME ARGUMENT=VALUE ...: rectify, resize, crop, flip, '
        'rotate, gaussian_blur, median, sharpen, gamma, brightness_contrast, equalize, clahe, '
        'convert, model; empty passes pictures on.',
        prepares=True,
    )


class ImageProcessor(Component[ImageProcessorParameters, ImageChain]):
    """Applies a chain of operations to pictures; the result may feed any other component."""

    parameters = ImageProcessorParameters
    inputs = ('input_image',)
    outputs = (
        Output('processed_image', Image, bus=True),
        Output('processed_camera_info', CameraInfo),
    )
    capturable = True
    camera_info = 'camera_info'

    def check(self, params: ImageProcessorParameters) -> None:
        """
        Refuse operations, arguments and networks that cannot work.

        Parameters
        ----------
        params : ImageProcessorParameters
            The values to check.

        """
        for operation in _operations(params):
            if isinstance(operation, Network):
                operation.inspect(allow_unsafe_models=self.context.allow_unsafe_models)

    def prepare(self, params: ImageProcessorParameters) -> ImageChain:
        """
        Load the networks of the chain.

        Parameters
        ----------
        params : ImageProcessorParameters
            Which operations.

        Returns
        -------
        ImageChain
            Closed by the framework.

        """
        return ImageChain(_operations(params), self.context)

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Enqueue the operations on one picture.

        Parameters
        ----------
        frame : Frame
            The picture.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        dict
            The picture, and the calibration that holds for it if that of the input is known.

        """
        camera = self.camera(frame)
        if not len(self.prepared):
            return _results(frame, camera)
        picture = self.prepared(Picture.of(frame, stream, camera))
        processed = self.context.derived_frame(
            frame, picture.format, picture.pixels(), stream, camera_info=picture.camera
        )
        return _results(processed, picture.camera)


def _operations(params: ImageProcessorParameters) -> tuple[Operation, ...]:
    """Return the chain, with the files of its networks as paths."""
    return tuple(
        replace(operation, source=resolve_path(operation.source))
        if isinstance(operation, Network)
        else operation
        for operation in parse_operations(params.operations)
    )


def _results(frame: Frame, camera: CameraModel | None) -> Results:
    results: dict[str, Result | Frame] = {'processed_image': frame}
    if camera is not None:
        results['processed_camera_info'] = Result((), _camera_info(camera))
    return results


def _camera_info(camera: CameraModel) -> Callable[..., CameraInfo]:
    """Return the builder of the calibration's message."""

    def build(header: Header) -> CameraInfo:
        return camera_info_message(header, camera)

    return build
