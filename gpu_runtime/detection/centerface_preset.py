# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CenterFace: a heat map of face centres, with size and offset per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.candidates import cxcywh_to_xyxy
from gpu_runtime.detection.candidates import suppressed
from gpu_runtime.detection.input_size import input_wh as decide_input_wh
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.detection.preset import half_if
from gpu_runtime.fit import Fit
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision

_STRIDE = 4
_MULTIPLE = 32
_CHANNELS = (1, 2, 2, 10)


class CenterfacePreset(DetectionPreset):
    """
    CenterFace as its authors export it: faces, one class.

    RGB, 0 to 255, at any size of multiples of 32.  Outputs over cells of 4 px: heat map,
    logarithm of (height, width) in cells, offset of the centre (row, column) in cells, and five
    landmarks, which are not read.  Source: https://github.com/Star-Clouds/CenterFace.

    Parameters
    ----------
    input_wh : tuple of int
        Width and height that pictures are letterboxed to, in pixels, multiples of 32.  Faces
        smaller than about 10 px at this size are missed.

    """

    name = 'centerface'

    def __init__(self, input_wh: tuple[int, int] = (640, 480)) -> None:
        self._input_wh = input_wh
        self._cells: dict[torch.device, torch.Tensor] = {}

    @classmethod
    def recognises(cls, source: ModelSource) -> bool:
        """
        Recognise one picture in, and maps of 1, 2, 2 and 10 channels out.

        Parameters
        ----------
        source : ModelSource
            Any source.

        Returns
        -------
        bool
            True for such an ONNX file.

        """
        signature = source.signature
        if signature is None or len(signature.inputs) != 1:
            return False
        shapes = list(signature.outputs.values())
        return tuple(shape[1] for shape in shapes if len(shape) == 4) == _CHANNELS

    @classmethod
    def from_source(
        cls, source: ModelSource, input_wh: tuple[int, int] | None
    ) -> CenterfacePreset:
        """
        Make the preset; the size that the file states is nominal.

        Parameters
        ----------
        source : ModelSource
            The model.
        input_wh : tuple of int, optional
            Size of the input, else 640 x 480.

        Returns
        -------
        CenterfacePreset
            For that size.

        """
        return cls(
            decide_input_wh(source, input_wh, default=(640, 480), multiple=_MULTIPLE, fixed=False)
        )

    @property
    def default_labels(self) -> str | tuple[str, ...]:
        """The one name ``face``."""
        return 'face'

    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return RGB, 0 to 255, letterboxed to the upper left.

        Parameters
        ----------
        precision : str
            ``'fp32'`` or ``'fp16'``.

        Returns
        -------
        TensorSpec
            Of the preset's size.

        """
        return TensorSpec(
            *self._input_wh,
            fit=Fit.LETTERBOX_TOP_LEFT,
            dtype=half_if(precision),
            scale=1.0,
        )

    def decode(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> Detections:
        """
        Make a box of every cell, and keep the best of those that overlap.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            Heat map, sizes, offsets and landmarks: (1, 1 | 2 | 2 | 10, rows, columns).
        limits : PictureLimits
            What is reported, and where the picture lies.

        Returns
        -------
        Detections
            Boxes in source pixels, class id 0.  Does not block, but for the first call on a
            device.

        """
        columns, rows = (side // _STRIDE for side in self._input_wh)
        shapes = [(1, channels, rows, columns) for channels in _CHANNELS]
        fits = [tuple(tensor.shape) for tensor in outputs] == shapes
        self.require(fits, outputs, ', '.join(map(str, shapes)))
        heat, log_hw, offset_rc = (tensor[0].flatten(1).T for tensor in outputs[:3])
        centre_rc = (self._cell_centres(heat.device) + offset_rc) * _STRIDE
        size_hw = log_hw.exp() * _STRIDE
        # Row before column in this network: flipped into x, y and width, height.
        boxes = cxcywh_to_xyxy(torch.cat((centre_rc.flip(1), size_hw.flip(1)), dim=1))
        class_ids = torch.zeros(boxes.shape[0], dtype=torch.int64, device=boxes.device)
        return suppressed(boxes, heat[:, 0], class_ids, limits)

    def _cell_centres(self, device: torch.device) -> torch.Tensor:
        """Return row and column of every cell's centre, in cells, made once per device."""
        if device not in self._cells:
            width, height = self._input_wh
            rows, columns = torch.meshgrid(
                torch.arange(height // _STRIDE), torch.arange(width // _STRIDE), indexing='ij'
            )
            cells = torch.stack((rows, columns), dim=2).reshape(-1, 2).float() + 0.5
            self._cells[device] = cells.to(device)
        return self._cells[device]
