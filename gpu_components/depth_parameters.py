# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the depth estimator, and what they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_components.asked_size import asked_wh
from gpu_components.component_parameters import ComponentParameters
from gpu_components.parameters import parameter
from gpu_components.resources import resolve_path
from gpu_runtime.depth import COLORMAPS
from gpu_runtime.depth import depth_input
from gpu_runtime.depth import DEPTH_KINDS
from gpu_runtime.depth import depth_traits
from gpu_runtime.depth import DepthConversion
from gpu_runtime.depth.depth_traits import AUTO
from gpu_runtime.depth.depth_traits import AutoDepthKind
from gpu_runtime.depth.depth_traits import AutoDepthNormalization
from gpu_runtime.errors import ParameterError
from gpu_runtime.fit import Fit
from gpu_runtime.models import BACKENDS
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PRECISIONS
from gpu_runtime.models.factory import Backend
from gpu_runtime.models.precision import Precision
from gpu_runtime.models.published_model import MIDAS_SMALL
from gpu_runtime.normalization import NORMALIZATIONS

if TYPE_CHECKING:
    from gpu_runtime.tensor_spec import TensorSpec


@dataclass(frozen=True)
class DepthEstimatorParameters(ComponentParameters):
    """Parameters of :class:`~gpu_components.depth_estimator.DepthEstimator`."""

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

    @property
    def source(self) -> ModelSource:
        """Where the network comes from; not known to exist."""
        return ModelSource.parse(resolve_path(self.model))

    @property
    def calibrated(self) -> bool:
        """Whether depth comes out in metres."""
        return depth_traits(self.model).calibrated or self.scale != 0.0

    def conversion(self) -> DepthConversion:
        """
        Return how the network's values become depth.

        Returns
        -------
        DepthConversion
            With what ``auto`` and 0 stand for.

        """
        traits = depth_traits(self.model)
        return DepthConversion(
            traits.kind if self.kind == AUTO else self.kind,
            self.scale or traits.scale,
            self.shift,
            self.min_depth_m,
            self.max_depth_m,
        )

    def input_spec(self) -> TensorSpec:
        """
        Return what the network reads.

        Returns
        -------
        TensorSpec
            With a size.

        Raises
        ------
        GpuPerceptionError
            If the model cannot be fed so.

        """
        normalization = self.normalization
        return depth_input(
            self.source,
            asked_wh(self.input_width, self.input_height),
            fit=Fit(self.input_fit),
            channels=self.input_channels,
            normalization=(
                depth_traits(self.model).normalization if normalization == AUTO else normalization
            ),
            precision=self.precision,
        )

    def require_sense(self) -> None:
        """
        Refuse values that exclude each other.

        Raises
        ------
        ParameterError
            With the values and the remedy.

        """
        if self.min_depth_m >= self.max_depth_m:
            raise ParameterError(
                f'min_depth_m {self.min_depth_m} is not below max_depth_m {self.max_depth_m}'
            )
        if 0.0 < self.color_far_m <= self.color_near_m:
            raise ParameterError(
                f'color_far_m {self.color_far_m} is not above color_near_m '
                f'{self.color_near_m}; set it to 0 for the range of each picture'
            )
        if self.model_focal_px and self.conversion().kind == 'relative':
            raise ParameterError(
                f'model_focal_px {self.model_focal_px}: relative depth has no focal length; '
                'set it to 0, or kind to metric or inverse'
            )
