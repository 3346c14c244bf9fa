# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What follows the network of a detector: from its outputs to rows for the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import ModelError

if TYPE_CHECKING:
    from gpu_runtime.detection.limits_block import LimitsBlock
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.detection.preset import DetectionPreset


class Decoder:
    """
    The ``finish`` of a detector's model, recorded in one graph with the network.

    Parameters
    ----------
    preset : DetectionPreset
        Reads the outputs.
    block : LimitsBlock
        What is reported of each picture of a batch.

    """

    def __init__(self, preset: DetectionPreset, block: LimitsBlock) -> None:
        self.preset = preset
        self.block = block
        one = block.pictures[0]
        self._ranks = torch.arange(one.capacity, dtype=torch.float32, device=one.row.device)

    def __call__(
        self, outputs: tuple[torch.Tensor, ...], inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor]:
        """
        Decode the outputs for a batch, on the current stream.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            Of the network.
        inputs : tuple of torch.Tensor
            Of the network, N pictures.

        Returns
        -------
        tuple of torch.Tensor
            One, float32 (N, K + 1, 6): each as :meth:`Detections.packed`, in new memory.  Does not
            block, but for the first call on a device.

        Raises
        ------
        ModelError
            If the outputs are not of this family, or of one picture where there are several.

        """
        pictures = _rows(outputs, inputs[0].shape[0])
        found = [self._one(*each) for each in zip(pictures, self.block.pictures, strict=False)]
        return (torch.stack(found) if len(found) > 1 else found[0][None],)

    def _one(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> torch.Tensor:
        rows = self.preset.decode(outputs, limits).packed()
        most = limits.max_detections
        rows[0].clamp_(max=most)  # the count, and zeros
        rows[1:].masked_fill_((self._ranks >= most)[:, None], 0.0)
        return rows


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
