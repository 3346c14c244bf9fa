# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The component that the README shows, as a package of somebody else would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from std_msgs.msg import Float32

from gpu_components import Component
from gpu_components import ComponentParameters
from gpu_components import Output
from gpu_components import parameter
from gpu_components import Result
from gpu_runtime import TensorSpec

if TYPE_CHECKING:
    from gpu_components import Results
    from gpu_runtime import Frame
    from gpu_runtime import Stream


@dataclass(frozen=True)
class BrightnessParameters(ComponentParameters):
    """Parameters of :class:`Brightness`."""

    gain: float = parameter(1.0, 'Factor on the result.', ge=0.0, le=10.0)


class Brightness(Component[BrightnessParameters, None]):
    """Publishes the mean of a picture, 0 to 1."""

    parameters = BrightnessParameters
    inputs = ('input_image',)
    outputs = (Output('brightness', Float32),)

    def prepare(self, params: BrightnessParameters) -> None:
        """Nothing to load."""

    def compute(self, frame: Frame, stream: Stream) -> Results:
        """Enqueue the mean."""
        mean = frame.tensor(TensorSpec(64, 64), stream).tensor.mean() * self.params.gain
        return {'brightness': Result((mean,), lambda header, value: Float32(data=float(value)))}
