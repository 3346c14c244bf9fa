# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to find objects in prepared pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.detection.limits import DetectionLimits
from gpu_runtime.errors import ModelError
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

    def warm_up(self, device: torch.device, precision: Precision, max_batch: int = 1) -> None:
        """
        Run once on an example picture, so that no frame pays for kernels or graphs; blocks.

        Parameters
        ----------
        device : torch.device
            Where the model is.
        precision : str
            As the model was loaded with.
        max_batch : int
            Every number of pictures up to this one is prepared.

        Raises
        ------
        ModelError
            If the network takes one picture at a time only.

        """
        one = self.preset.example_inputs(device, precision)
        width, height = self.spec.width or 640, self.spec.height or 480
        place = AffineMap.fit(self.spec, width, height)
        with torch.inference_mode():
            for count in range(1, max_batch + 1):
                inputs = tuple(torch.cat([tensor] * count) for tensor in one)
                self.model.prepare(inputs)
                for outputs in _rows(self.model(*inputs), count):
                    self.preset.decode(outputs, place, DetectionLimits())
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

    def batch(
        self, prepared: Sequence[PreparedTensor], limits: DetectionLimits
    ) -> list[Detections]:
        """
        Find objects in several pictures with one call of the network.

        Parameters
        ----------
        prepared : sequence of PreparedTensor
            As many as were warmed up, or fewer.
        limits : DetectionLimits
            What is reported.

        Returns
        -------
        list of Detections
            Of each picture, as calling the detector with it alone gives them.

        Raises
        ------
        ModelError
            If the network takes one picture at a time only.

        """
        columns = zip(*(self.preset.inputs(one) for one in prepared), strict=True)
        outputs = self.model(*(torch.cat(column) for column in columns))
        return [
            self.preset.decode(rows, one.map, limits)
            for rows, one in zip(_rows(outputs, len(prepared)), prepared, strict=True)
        ]

    def close(self) -> None:
        """Release the network."""
        self.model.close()


def _rows(outputs: tuple[torch.Tensor, ...], count: int) -> list[tuple[torch.Tensor, ...]]:
    """Return the outputs of each picture, as if it had gone through alone."""
    if count == 1:
        return [outputs]
    shapes = [tuple(output.shape) for output in outputs]
    if any(not shape or shape[0] != count for shape in shapes):
        raise ModelError(
            f'the network answered {count} pictures with {", ".join(map(str, shapes))}; expected '
            f'{count} rows in each: it takes one picture at a time, set max_batch to 1'
        )
    return [tuple(output[row : row + 1] for output in outputs) for row in range(count)]
