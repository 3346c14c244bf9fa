# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""DETR and its descendants: a fixed number of boxes that need no suppression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.detection.candidates import best
from gpu_runtime.detection.candidates import cxcywh_to_xyxy
from gpu_runtime.detection.input_size import input_wh as decide_input_wh
from gpu_runtime.detection.preset import coco_labels
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.detection.preset import half_if
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision
    from gpu_runtime.transforms import PreparedTensor

_WITH_NO_OBJECT = (81, 92)
"""Numbers of logits of the original DETR: COCO's 80 or 91 numbers and 'no object' at the end."""

_SIZES_INPUT = 'orig_target_sizes'


class DetrPreset(DetectionPreset):
    """
    DETR, RT-DETR, D-FINE, DEIM and the like, RGB 0 to 1, resized without keeping the aspect.

    Two forms of output are read: logits (1, Q, C) with boxes (1, Q, 4) cxcywh in fractions of
    the picture, in either order of the outputs; or, with a second input ``orig_target_sizes``,
    labels (1, Q), boxes (1, Q, 4) xyxy and scores (1, Q).  With 81 or 92 logits they are a
    softmax whose last entry is 'no object', and the picture is normalised with ImageNet's mean
    and deviation, as in https://github.com/facebookresearch/detr; else they are sigmoids.

    Parameters
    ----------
    input_wh : tuple of int
        Width and height of the network's input in pixels.
    logits : int
        C, or 0 for the form with labels, boxes and scores.

    """

    name = 'detr'

    def __init__(self, input_wh: tuple[int, int] = (640, 640), logits: int = 80) -> None:
        self._input_wh = input_wh
        self._logits = logits
        self._softmax = logits in _WITH_NO_OBJECT
        self._sizes: dict[torch.device, torch.Tensor] = {}

    @classmethod
    def recognises(cls, source: ModelSource) -> bool:
        """
        Recognise the two forms by the names and shapes in an ONNX file.

        Parameters
        ----------
        source : ModelSource
            Any source.

        Returns
        -------
        bool
            True for one of the forms.

        """
        signature = source.signature
        if signature is None:
            return False
        outputs = set(signature.outputs)
        if list(signature.inputs)[1:] == [_SIZES_INPUT]:
            return outputs == {'labels', 'boxes', 'scores'}
        return (
            len(signature.inputs) == 1
            and len(outputs) == 2
            and bool(outputs & {'logits', 'pred_logits'})
            and bool(outputs & {'boxes', 'pred_boxes'})
        )

    @classmethod
    def from_source(cls, source: ModelSource, input_wh: tuple[int, int] | None) -> DetrPreset:
        """
        Take size and number of logits from an ONNX file.

        Parameters
        ----------
        source : ModelSource
            The model.
        input_wh : tuple of int, optional
            Size for files that do not state it, else 640 x 640.

        Returns
        -------
        DetrPreset
            80 sigmoids where the file does not tell.

        """
        size = decide_input_wh(source, input_wh, default=(640, 640))
        signature = source.signature
        if signature is None:
            return cls(size)
        if _SIZES_INPUT in signature.inputs:
            return cls(size, 0)
        counts = [shape[-1] for name, shape in signature.outputs.items() if 'logits' in name]
        return cls(size, counts[0] if counts and counts[0] else 80)

    @property
    def default_labels(self) -> str | tuple[str, ...]:
        """COCO's names in the numbering of the logits, or numbers."""
        return coco_labels((self._logits or 80) - self._softmax)

    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return RGB, stretched to the network's size.

        Parameters
        ----------
        precision : str
            ``'fp32'`` or ``'fp16'``.

        Returns
        -------
        TensorSpec
            0 to 1, or normalised as ImageNet for the original DETR.

        """
        dtype = half_if(precision)
        if not self._softmax:
            return TensorSpec(*self._input_wh, dtype=dtype)
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return TensorSpec(*self._input_wh, dtype=dtype, mean=mean, std=std)

    def inputs(self, prepared: PreparedTensor) -> tuple[torch.Tensor, ...]:
        """
        Return the picture, and its size where the network asks for it.

        Parameters
        ----------
        prepared : PreparedTensor
            A picture prepared by :meth:`spec`.

        Returns
        -------
        tuple of torch.Tensor
            The size is the tensor's, (1, 2) width and height: the map leads on to the source.

        """
        if self._logits:
            return (prepared.tensor,)
        device = prepared.tensor.device
        if device not in self._sizes:
            self._sizes[device] = torch.tensor([self._input_wh], dtype=torch.int64, device=device)
        return prepared.tensor, self._sizes[device]

    def decode(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> Detections:
        """
        Keep the best boxes; the overlap threshold is not used.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            In one of the two forms of the class.
        limits : PictureLimits
            What is reported, and where the picture lies.

        Returns
        -------
        Detections
            Boxes in source pixels.  Does not block.

        """
        if self._logits:
            return best(*self._from_logits(outputs), limits)
        shapes = [tuple(tensor.shape) for tensor in outputs]
        queries = shapes[0][-1] if shapes and shapes[0] else 0
        fits = shapes == [(1, queries), (1, queries, 4), (1, queries)]
        self.require(fits, outputs, 'labels (1, Q), boxes (1, Q, 4) and scores (1, Q)')
        labels, boxes, scores = outputs
        return best(boxes[0], scores[0], labels[0].long(), limits)

    def _from_logits(
        self, outputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return boxes in tensor pixels, scores and class ids for every query and class."""
        ordered = outputs
        if len(outputs) == 2 and outputs[1].shape[-1] != 4:
            ordered = outputs[::-1]
        shapes = [tuple(tensor.shape) for tensor in ordered]
        queries = shapes[0][1] if shapes and len(shapes[0]) == 3 else 0
        fits = shapes == [(1, queries, self._logits), (1, queries, 4)]
        self.require(fits, outputs, f'logits (1, Q, {self._logits}) and boxes (1, Q, 4)')
        logits, boxes = ordered[0][0], ordered[1][0]
        scores = logits.softmax(dim=1)[:, :-1] if self._softmax else logits.sigmoid()
        width, height = self._input_wh
        corners = cxcywh_to_xyxy(boxes).reshape(-1, 2, 2)
        corners = torch.stack((corners[..., 0] * width, corners[..., 1] * height), dim=2)
        corners = corners.reshape(-1, 4)
        if self._softmax:
            scores, class_ids = scores.max(dim=1)
            return corners, scores, class_ids
        # As in these networks' own post-processing: a query may report several classes.
        classes = scores.shape[1]
        pairs = torch.arange(scores.numel(), device=scores.device)
        return corners[pairs // classes], scores.flatten(), pairs % classes
