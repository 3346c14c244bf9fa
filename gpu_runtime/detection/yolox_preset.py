# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""YOLOX: one output of raw boxes, objectness and class scores over three grids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.candidates import cxcywh_to_xyxy
from gpu_runtime.detection.candidates import suppressed
from gpu_runtime.detection.input_size import input_wh as decide_input_wh
from gpu_runtime.detection.preset import coco_labels
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.detection.preset import half_if
from gpu_runtime.fit import Fit
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision

_STRIDES = (8, 16, 32)
_BOX_AND_OBJECTNESS = 5


class YoloxPreset(DetectionPreset):
    """
    YOLOX as its authors export it.

    BGR, 0 to 255, letterboxed into the upper left corner over grey 114; per grid cell an offset,
    the logarithm of the size, an objectness and class scores that are sigmoids already.
    Source: https://github.com/Megvii-BaseDetection/YOLOX demo/ONNXRuntime.

    Parameters
    ----------
    input_wh : tuple of int
        Width and height of the network's input in pixels, multiples of 32.
    classes : int
        Number of classes.

    """

    name = 'yolox'

    def __init__(self, input_wh: tuple[int, int] = (640, 640), classes: int = 80) -> None:
        self._input_wh = input_wh
        self._classes = classes
        self._grids: dict[torch.device, torch.Tensor] = {}

    @classmethod
    def recognises(cls, source: ModelSource) -> bool:
        """
        Recognise one picture in, and one row per grid cell out.

        Parameters
        ----------
        source : ModelSource
            Any source.

        Returns
        -------
        bool
            True for an ONNX file of static shapes that fit each other.

        """
        signature = source.signature
        if signature is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
            return False
        shape, rows = *signature.inputs.values(), *signature.outputs.values()
        if len(shape) != 4 or len(rows) != 3 or shape[1] != 3 or not all(shape[2:]):
            return False
        return rows[1] == _cells((shape[3], shape[2])) and rows[2] > _BOX_AND_OBJECTNESS

    @classmethod
    def from_source(cls, source: ModelSource, input_wh: tuple[int, int] | None) -> YoloxPreset:
        """
        Take size and number of classes from an ONNX file.

        Parameters
        ----------
        source : ModelSource
            The model.
        input_wh : tuple of int, optional
            Size for files that do not state it, else 640 x 640.

        Returns
        -------
        YoloxPreset
            80 classes where the file does not tell.

        """
        size = decide_input_wh(source, input_wh, default=(640, 640), multiple=_STRIDES[-1])
        signature = source.signature
        rows = next(iter(signature.outputs.values())) if signature else ()
        known = len(rows) == 3 and rows[2] > _BOX_AND_OBJECTNESS
        return cls(size, rows[2] - _BOX_AND_OBJECTNESS if known else 80)

    @property
    def default_labels(self) -> str | tuple[str, ...]:
        """COCO's 80 names, or numbers for another count of classes."""
        return coco_labels(self._classes)

    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return BGR, 0 to 255, letterboxed to the upper left over 114.

        Parameters
        ----------
        precision : str
            ``'fp32'`` or ``'fp16'``.

        Returns
        -------
        TensorSpec
            Of the network's own size.

        """
        return TensorSpec(
            *self._input_wh,
            fit=Fit.LETTERBOX_TOP_LEFT,
            channels='bgr',
            dtype=half_if(precision),
            scale=1.0,
            pad=114.0,
        )

    def decode(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> Detections:
        """
        Place the grid's boxes and suppress those that overlap.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            One, float32 (1, cells, 5 + classes).
        limits : PictureLimits
            What is reported, and where the picture lies.

        Returns
        -------
        Detections
            Boxes in source pixels.  Does not block, but for the first call on a device.

        """
        shape = (1, _cells(self._input_wh), _BOX_AND_OBJECTNESS + self._classes)
        self.require([tuple(tensor.shape) for tensor in outputs] == [shape], outputs, str(shape))
        rows = outputs[0][0]
        grid = self._grid(rows.device)
        centres = (rows[:, :2] + grid[:, :2]) * grid[:, 2:]
        sizes = rows[:, 2:4].exp() * grid[:, 2:]
        scores, class_ids = rows[:, _BOX_AND_OBJECTNESS:].max(dim=1)
        boxes = cxcywh_to_xyxy(torch.cat((centres, sizes), dim=1))
        return suppressed(boxes, scores * rows[:, 4], class_ids, limits)

    def _grid(self, device: torch.device) -> torch.Tensor:
        """Return column, row and stride of every cell, made once per device."""
        if device not in self._grids:
            width, height = self._input_wh
            grids = []
            for stride in _STRIDES:
                rows, columns = torch.meshgrid(
                    torch.arange(height // stride), torch.arange(width // stride), indexing='ij'
                )
                strides = torch.full_like(rows, stride)
                grids.append(torch.stack((columns, rows, strides), dim=2).reshape(-1, 3))
            self._grids[device] = torch.cat(grids).float().to(device)
        return self._grids[device]


def _cells(size: tuple[int, int]) -> int:
    return sum((size[0] // stride) * (size[1] // stride) for stride in _STRIDES)
