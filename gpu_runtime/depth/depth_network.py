# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to say how far away each pixel of a picture is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.errors import ModelError
from gpu_runtime.transforms import example_tensor
from gpu_runtime.transforms import PreparedTensor

if TYPE_CHECKING:
    from gpu_runtime.models import Model
    from gpu_runtime.tensor_spec import TensorSpec

_EXAMPLE_WH = (640, 480)


@dataclass(frozen=True)
class DepthNetwork:
    """
    A depth network.

    Parameters
    ----------
    model : Model
        The network; closed by :meth:`close`.
    spec : TensorSpec
        What it reads.
    output_index : int
        Which of its outputs holds the depth, from 0.

    """

    model: Model
    spec: TensorSpec
    output_index: int = 0

    def warm_up(self, device: torch.device) -> None:
        """
        Run once on an example picture, so that no frame pays for kernels or graphs; blocks.

        Parameters
        ----------
        device : torch.device
            Where the model is.

        Raises
        ------
        ModelError
            If the network's output is no map.

        """
        tensor = example_tensor(self.spec, *_EXAMPLE_WH, device)
        self.model.prepare((tensor,))
        place = AffineMap.fit(self.spec, *_EXAMPLE_WH)
        self(PreparedTensor(tensor, place, self.spec))
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()

    def __call__(self, prepared: PreparedTensor) -> torch.Tensor:
        """
        Estimate one picture, on the calling thread's current stream.

        Parameters
        ----------
        prepared : PreparedTensor
            A picture prepared by :attr:`spec`.

        Returns
        -------
        torch.Tensor
            float32 (H, W) in the network's own unit, at the size of the source picture, whose
            pixels it shares; may be the model's own memory, to be read before its next call.
            Does not block.

        Raises
        ------
        ModelError
            If the network's output is no map.

        """
        values = self._map(self.model(prepared.tensor))
        height, width = prepared.tensor.shape[-2:]
        return _to_source(values, prepared.map, (height, width))

    def close(self) -> None:
        """Release the network."""
        self.model.close()

    def _map(self, outputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the output that holds the depth as (1, 1, h, w)."""
        shapes = [tuple(output.shape) for output in outputs]
        if self.output_index < len(outputs):
            values = outputs[self.output_index]
            if values.dim() >= 2 and values.numel() == values.shape[-2] * values.shape[-1]:
                return values.reshape(1, 1, *values.shape[-2:])
        raise ModelError(
            f'the network returned {", ".join(map(str, shapes))}; expected one value per pixel, '
            f'(1, 1, height, width), as output {self.output_index}: set output_index, or choose '
            'a network that estimates depth'
        )


def _to_source(values: torch.Tensor, place: AffineMap, tensor_hw: tuple[int, int]) -> torch.Tensor:
    """Undo the fit: cut the picture out of the tensor and bring it to the source's size."""
    if values.shape[-2:] != tensor_hw:
        values = _resized(values, tensor_hw)
    inner_w, inner_h = place.inner_wh
    left, top = int(place.offset_x), int(place.offset_y)
    values = values[:, :, top : top + inner_h, left : left + inner_w]
    width, height = place.source_wh
    return _resized(values, (height, width))[0, 0]


def _resized(values: torch.Tensor, hw: tuple[int, int]) -> torch.Tensor:
    """Resize, pixel centres at half integers: the inverse of the picture's own resize."""
    if tuple(values.shape[-2:]) == hw:
        return values
    return functional.interpolate(values, hw, mode='bilinear', align_corners=False)
