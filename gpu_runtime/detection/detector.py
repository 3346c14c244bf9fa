# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to find objects in prepared pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection.limits import DetectionLimits
from gpu_runtime.transforms import PreparedTensor

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.label_map import LabelMap
    from gpu_runtime.detection.preset import DetectionPreset
    from gpu_runtime.models import Model
    from gpu_runtime.models.precision import Precision
    from gpu_runtime.tensor_spec import TensorSpec


@dataclass(frozen=True)
class Detector:
    """
    A network with everything that belongs to it.

    Parameters
    ----------
    model : Model
        The network.
    preset : DetectionPreset
        Feeds and reads it.
    spec : TensorSpec
        What it reads.
    labels : LabelMap
        Names of its classes.

    """

    model: Model
    preset: DetectionPreset
    spec: TensorSpec
    labels: LabelMap

    def warm_up(self, device: torch.device, precision: Precision) -> None:
        """
        Run once on an example picture, so that no frame pays for kernels or graphs; blocks.

        Parameters
        ----------
        device : torch.device
            Where the model is.
        precision : str
            As the model was loaded with.

        """
        inputs = self.preset.example_inputs(device, precision)
        self.model.prepare(inputs)
        width, height = self.spec.width or 640, self.spec.height or 480
        with torch.inference_mode():
            place = AffineMap.fit(self.spec, width, height)
            self.preset.decode(self.model(*inputs), place, DetectionLimits())
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()

    def __call__(self, prepared: PreparedTensor, limits: DetectionLimits) -> Detections:
        """
        Find objects in a picture, on the calling thread's current stream.

        Parameters
        ----------
        prepared : PreparedTensor
            A picture prepared by :attr:`spec`.
        limits : DetectionLimits
            What is reported.

        Returns
        -------
        Detections
            New tensors, boxes in pixels of the source.  Does not block, unless the preset says
            that its network does.

        """
        outputs = self.model(*self.preset.inputs(prepared))
        return self.preset.decode(outputs, prepared.map, limits)

    def close(self) -> None:
        """Release the network."""
        self.model.close()
