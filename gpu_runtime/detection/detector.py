# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to find objects in prepared pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_runtime.detection.decoder import Decoder
    from gpu_runtime.detection.label_map import LabelMap
    from gpu_runtime.detection.limits import DetectionLimits
    from gpu_runtime.models import Model
    from gpu_runtime.models.precision import Precision
    from gpu_runtime.tensor_spec import TensorSpec
    from gpu_runtime.transforms import PreparedTensor


@dataclass(frozen=True)
class Detector:
    """
    A network with everything that belongs to it.

    Parameters
    ----------
    model : Model
        The network, loaded with the decoder as its ``finish``.
    decoder : Decoder
        Feeds and reads it.
    spec : TensorSpec
        What it reads.
    labels : LabelMap
        Names of its classes.

    """

    model: Model
    decoder: Decoder
    spec: TensorSpec
    labels: LabelMap

    def warm_up(self, device: torch.device, precision: Precision) -> None:
        """
        Run once on an example picture, so that no frame pays for kernels or graphs; blocks.

        Every number of pictures that the decoder has limits for is prepared.

        Parameters
        ----------
        device : torch.device
            Where the model is.
        precision : str
            As the model was loaded with.

        Raises
        ------
        ModelError
            If the network takes one picture at a time only.

        """
        one = self.decoder.preset.example_inputs(device, precision)
        for count in range(1, len(self.decoder.block.pictures) + 1):
            inputs = tuple(torch.cat([tensor] * count) for tensor in one)
            self.model.prepare(inputs)
            self.model(*inputs)
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()

    def __call__(self, prepared: PreparedTensor, limits: DetectionLimits) -> torch.Tensor:
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
        torch.Tensor
            float32 (K + 1, 6) as :meth:`Detections.packed`, new memory, boxes in pixels of the
            source.  Does not block, unless the preset says that its network does.

        """
        return self.batch([prepared], limits)[0]

    def batch(self, prepared: Sequence[PreparedTensor], limits: DetectionLimits) -> torch.Tensor:
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
        torch.Tensor
            float32 (N, K + 1, 6): of each picture what calling the detector with it alone gives.

        Raises
        ------
        ModelError
            If the network takes one picture at a time only.
        SpecMismatchError
            If there are more pictures, or limits, than it was made for.

        """
        self.decoder.block.write(limits, [one.map for one in prepared])
        columns = zip(*(self.decoder.preset.inputs(one) for one in prepared), strict=True)
        (found,) = self.model(*(_joined(column) for column in columns))
        # A graph writes its result to the same memory each time, and these go on to other streams.
        return found.clone()

    def close(self) -> None:
        """Release the network."""
        self.model.close()


def _joined(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(tuple(tensors)) if len(tensors) > 1 else tensors[0]
