# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that says how far away things are: depth maps and points of one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image
from sensor_msgs.msg import PointCloud2

from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.parameters import parameter
from gpu_components.point_cloud import point_cloud_message
from gpu_components.resources import resolve_path
from gpu_runtime.depth import CameraRays
from gpu_runtime.depth import COLORMAPS
from gpu_runtime.depth import depth_input
from gpu_runtime.depth import DEPTH_KINDS
from gpu_runtime.depth import depth_traits
from gpu_runtime.depth import DepthColors
from gpu_runtime.depth import DepthConversion
from gpu_runtime.depth import DepthNetwork
from gpu_runtime.depth import millimetres
from gpu_runtime.depth import organised_points
from gpu_runtime.depth.depth_traits import AUTO
from gpu_runtime.depth.depth_traits import AutoDepthKind
from gpu_runtime.depth.depth_traits import AutoDepthNormalization
from gpu_runtime.drawable import drawable_pixels
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import BACKENDS
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PRECISIONS
from gpu_runtime.models.factory import Backend
from gpu_runtime.models.precision import Precision
from gpu_runtime.models.published_model import MIDAS_SMALL
from gpu_runtime.normalization import NORMALIZATIONS

if TYPE_CHECKING:
    import torch

    from gpu_components.output import Results
    from gpu_runtime.affine_map import AffineMap
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.depth.depth_conversion import DepthKind
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.stream import Stream
    from gpu_runtime.tensor_spec import TensorSpec

NOT_METRES = (
    '%s tells nearer from farther, not metres: its depth has no unit until scale and shift are '
    'set after a few known distances (1/z = scale * value + shift); for metres set model to a '
    'network of metric depth'
)


@dataclass(frozen=True)
class DepthEstimatorParameters(ComponentParameters):
    """Parameters of :class:`DepthEstimator`."""

    model: str = parameter(
        MIDAS_SMALL.name,
        'Published network, fetched on first use, or a model file (.onnx, .pt2, .pt) by path or '
        'package:// name.',
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
    input_fit: str = parameter(
        'stretch',
        'How pictures of another aspect are brought to the input.',
        choices=tuple(fit.value for fit in Fit),
        prepares=True,
    )
    input_channels: str = parameter(
        'rgb', 'Order of the input channels.', choices=('rgb', 'bgr'), prepares=True
    )
    normalization: AutoDepthNormalization = parameter(
        AUTO,
        'Values of the input: unit 0 to 1, imagenet mean and deviation, symmetric -1 to 1, '
        "bytes 0 to 255; auto takes a published network's own, for files imagenet.",
        choices=(AUTO, *NORMALIZATIONS),
        prepares=True,
    )
    output_index: int = parameter(
        0, 'Which output of the network is the depth.', ge=0, le=100, prepares=True
    )
    kind: AutoDepthKind = parameter(
        AUTO,
        'What the network gives: metric (scale * value + shift), relative (the same, after '
        'stretching each picture to 0 to 1), inverse (1 / (scale * value + shift)); auto takes '
        "a published network's own, for files metric.",
        choices=(AUTO, *DEPTH_KINDS),
    )
    scale: float = parameter(
        0.0,
        "Factor on the values of the network; 0 takes a published network's own, for files 1.",
        unit='m (inverse: 1/m)',
    )
    shift: float = parameter(0.0, 'Added after the factor.', unit='m (inverse: 1/m)')
    min_depth_m: float = parameter(
        0.1, 'Smallest valid depth; NaN below.', unit='m', ge=0.0, le=1e5
    )
    max_depth_m: float = parameter(
        100.0, 'Largest valid depth; NaN above.', unit='m', ge=0.0, le=1e5
    )
    model_focal_px: float = parameter(
        0.0,
        "Focal length that the network assumes, in its input's pixels; depth is scaled by the "
        "camera's over it. 0 is off.",
        unit='px',
        ge=0.0,
        le=1e5,
    )
    rectified: bool = parameter(
        False, 'Pictures are rectified: use P of camera_info, not K and distortion.'
    )
    encoding: str = parameter(
        '32FC1',
        'Of gpu_depth_map: 32FC1 in metres (NaN invalid) or 16UC1 in millimetres (0 invalid).',
        choices=('32FC1', '16UC1'),
    )
    colormap: str = parameter('turbo', 'Colours of gpu_depth_color.', choices=COLORMAPS)
    color_near_m: float = parameter(0.0, 'Depth of the last colour.', unit='m', ge=0.0, le=1e5)
    color_far_m: float = parameter(
        0.0,
        'Depth of the first colour; 0 takes the range of each picture.',
        unit='m',
        ge=0.0,
        le=1e5,
    )
    point_stride: int = parameter(
        2, 'Every how many rows and columns points has a point.', unit='px', ge=1, le=64
    )


class DepthEstimator(Component[DepthEstimatorParameters, DepthNetwork]):
    """Estimates the depth of each pixel, in metres along the optical axis of the camera."""

    parameters = DepthEstimatorParameters
    inputs = ('image_raw',)
    outputs = (
        Output('gpu_depth_map', Image, bus=True),
        Output('gpu_depth_color', Image, bus=True),
        Output('points', PointCloud2),
    )
    camera_info = 'camera_info'

    def __init__(self, context: GpuContext, log: Any, wants: Callable[[str], bool]) -> None:
        super().__init__(context, log, wants)
        self._rays = CameraRays(context.device)
        self._colors = DepthColors(context.device)

    def check(self, params: DepthEstimatorParameters) -> None:
        """
        Refuse models, sizes and ranges that cannot work.

        Parameters
        ----------
        params : DepthEstimatorParameters
            The values to check.

        """
        if params.min_depth_m >= params.max_depth_m:
            raise ParameterError(
                f'min_depth_m {params.min_depth_m} is not below max_depth_m {params.max_depth_m}'
            )
        if 0.0 < params.color_far_m <= params.color_near_m:
            raise ParameterError(
                f'color_far_m {params.color_far_m} is not above color_near_m '
                f'{params.color_near_m}; set it to 0 for the range of each picture'
            )
        if params.model_focal_px and _kind(params) == 'relative':
            raise ParameterError(
                f'model_focal_px {params.model_focal_px}: relative depth has no focal length; '
                'set it to 0, or kind to metric or inverse'
            )
        source = ModelSource.parse(resolve_path(params.model))
        source.inspect(allow_unsafe_models=self.context.allow_unsafe_models)
        _spec(params, source)

    def prepare(self, params: DepthEstimatorParameters) -> DepthNetwork:
        """
        Load and warm the network.

        Parameters
        ----------
        params : DepthEstimatorParameters
            Which network.

        Returns
        -------
        DepthNetwork
            Closed by the framework.

        """
        source = ModelSource.parse(resolve_path(params.model))
        if not depth_traits(params.model).calibrated and params.scale == 0.0:
            self.log.warning(NOT_METRES % params.model)
        model = load_model(
            source,
            device=self.context.device,
            backend=params.backend,
            precision=params.precision,
            allow_unsafe_models=self.context.allow_unsafe_models,
            capture_lock=self.context.capture_lock,
            engines=self.context.engines,
        )
        network = DepthNetwork(model, _spec(params, source), params.output_index)
        network.warm_up(self.context.device)
        return network

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """
        Enqueue one picture: prepare, network, metres, and what of them somebody looks at.

        Parameters
        ----------
        frame : Frame
            The picture.
        stream : Stream
            Current on the calling thread.

        Returns
        -------
        dict
            Nothing is computed while nobody wants anything.

        """
        wanted = {output.topic for output in self.outputs if self.wants(output.topic)}
        if not wanted:
            return {}
        camera = self._camera(frame)
        prepared = frame.tensor(self.prepared.spec, stream)
        values = self.prepared(prepared)
        depth = self._conversion()(values, self._focal_ratio(camera, prepared.map))
        results: dict[str, Result | Frame] = {}
        if 'gpu_depth_map' in wanted:
            pixels = millimetres(depth) if self.params.encoding == '16UC1' else depth
            results['gpu_depth_map'] = self._picture(frame, pixels, self.params.encoding, stream)
        if 'gpu_depth_color' in wanted:
            near, far = self.params.color_near_m, self.params.color_far_m
            colors = self._colors(depth, self.params.colormap, near, far)
            results['gpu_depth_color'] = self._picture(frame, colors, 'rgb8', stream)
        if 'points' in wanted and (rays := self._rays_of(camera)) is not None:
            points = organised_points(
                depth, rays, *drawable_pixels(frame, stream), self.params.point_stride
            )
            results['points'] = Result((points,), point_cloud_message)
        return results

    def _conversion(self) -> DepthConversion:
        return DepthConversion(
            _kind(self.params),
            self.params.scale or depth_traits(self.params.model).scale,
            self.params.shift,
            self.params.min_depth_m,
            self.params.max_depth_m,
        )

    def _camera(self, frame: Frame) -> CameraModel | None:
        """Return the calibration at the picture's own size."""
        camera = self.camera(frame)
        size = frame.format.width, frame.format.height
        if camera is None or (camera.width, camera.height) == size:
            return camera
        return camera.scaled(*size) if camera.width and camera.height else None

    def _focal_ratio(self, camera: CameraModel | None, place: AffineMap) -> float:
        """Return the focal length in the network's input over the one it assumes."""
        if not self.params.model_focal_px:
            return 1.0
        focal = (camera.p[0] if self.params.rectified else camera.k[0]) if camera else 0.0
        if not focal > 0.0:
            raise SpecMismatchError(
                'model_focal_px is set, and the focal length of the camera is not known; expected '
                'calibrated camera_info: publish it, or set model_focal_px to 0'
            )
        return focal * place.scale_x / self.params.model_focal_px

    def _rays_of(self, camera: CameraModel | None) -> torch.Tensor | None:
        """Return the camera's rays; without a usable calibration say so, and go on without."""
        try:
            if camera is None:
                raise SpecMismatchError('no camera_info; expected one: publish or remap it')
            stride, rectified = self.params.point_stride, self.params.rectified
            return self._rays(camera, stride, rectified=rectified)
        except SpecMismatchError as error:
            self.log.warning(f'no points: {error}', throttle_duration_sec=5.0)
            return None

    def _picture(self, frame: Frame, pixels: torch.Tensor, encoding: str, stream: Stream) -> Frame:
        """Return a map of the source's size as a frame."""
        width, height = frame.format.width, frame.format.height
        step = pixels.numel() * pixels.element_size() // height
        layout = ImageFormat(width, height, encoding, step)
        return self.context.derived_frame(frame, layout, pixels, stream)


def _kind(params: DepthEstimatorParameters) -> DepthKind:
    return depth_traits(params.model).kind if params.kind == AUTO else params.kind


def _spec(params: DepthEstimatorParameters, source: ModelSource) -> TensorSpec:
    if bool(params.input_width) != bool(params.input_height):
        raise ParameterError(
            f'input size {params.input_width}x{params.input_height}: set both or neither'
        )
    return depth_input(
        source,
        (params.input_width, params.input_height) if params.input_width else None,
        fit=Fit(params.input_fit),
        channels=params.input_channels,
        normalization=(
            depth_traits(params.model).normalization
            if params.normalization == AUTO
            else params.normalization
        ),
        precision=params.precision,
    )
