# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that says how far away things are: depth maps and points of one camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image
from sensor_msgs.msg import PointCloud2

from gpu_components.component import Component
from gpu_components.depth_parameters import DepthEstimatorParameters
from gpu_components.output import Output
from gpu_components.output import Result
from gpu_components.point_cloud import point_cloud_message
from gpu_runtime.depth import CameraRays
from gpu_runtime.depth import DepthColors
from gpu_runtime.depth import DepthNetwork
from gpu_runtime.depth import millimetres
from gpu_runtime.depth import organised_points
from gpu_runtime.drawable import drawable_pixels
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import load_model

if TYPE_CHECKING:
    import torch

    from gpu_components.output import Results
    from gpu_runtime.affine_map import AffineMap
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.frame import Frame
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.stream import Stream

NOT_METRES = (
    '%s tells nearer from farther, not metres: its depth has no unit until scale and shift are '
    'set after a few known distances (1/z = scale * value + shift); for metres set model to a '
    'network of metric depth'
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
    capturable = True
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
        params.require_sense()
        params.source.inspect(allow_unsafe_models=self.context.allow_unsafe_models)
        params.input_spec()

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
        if not params.calibrated:
            self.log.warning(NOT_METRES % params.model)
        model = load_model(
            params.source,
            device=self.context.device,
            backend=params.backend,
            precision=params.precision,
            allow_unsafe_models=self.context.allow_unsafe_models,
            capture_lock=self.context.capture_lock,
            engines=self.context.engines,
        )
        network = DepthNetwork(model, params.input_spec(), params.output_index)
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
        depth = self.params.conversion()(values, self._focal_ratio(camera, prepared.map))
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
