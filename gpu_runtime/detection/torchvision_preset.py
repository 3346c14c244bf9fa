# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors, which resize and suppress by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_runtime.detection.candidates import suppressed
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.errors import ModelError
from gpu_runtime.models.source_kind import SourceKind
from gpu_runtime.models.torchvision_source import is_detector
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    import torch

    from gpu_runtime.affine_map import AffineMap
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.limits import DetectionLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision


class TorchvisionPreset(DetectionPreset):
    """
    Any network of ``torchvision.models.detection``.

    RGB, 0 to 1, at the picture's own size; class ids in COCO's 91-number scheme.  The network's
    shapes depend on what it finds: it synchronises the host inside and is never captured.
    Scores below 0.02 do not leave it, whatever the confidence threshold.
    """

    name = 'torchvision'
    fixed_shape = False

    @classmethod
    def recognises(cls, source: ModelSource) -> bool:
        """
        Recognise torchvision's detectors by name.

        Parameters
        ----------
        source : ModelSource
            Any source.

        Returns
        -------
        bool
            False for torchvision's other networks.

        """
        return source.kind is SourceKind.TORCHVISION and is_detector(source.name)

    @classmethod
    def from_source(
        cls, source: ModelSource, input_wh: tuple[int, int] | None
    ) -> TorchvisionPreset:
        """
        Make the preset.

        Parameters
        ----------
        source : ModelSource
            A torchvision detector.
        input_wh : tuple of int, optional
            Must be None: these networks choose their own size.

        Returns
        -------
        TorchvisionPreset
            The same for all of them.

        Raises
        ------
        ModelError
            If the source is no torchvision detector, or a size is given.

        """
        if not cls.recognises(source):
            raise ModelError(
                f'preset torchvision: {source.name!r} is no detector of torchvision; expected '
                'torchvision/<name> from torchvision.models.detection: set preset to auto'
            )
        if input_wh is not None:
            raise ModelError(
                f'preset torchvision: got an input size of {input_wh[0]}x{input_wh[1]} px; '
                'expected none, these networks resize by themselves'
            )
        return cls()

    @property
    def default_labels(self) -> str | tuple[str, ...]:
        """COCO's 91 numbers, background included."""
        return 'coco91'

    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return RGB, 0 to 1, at the picture's own size.

        Parameters
        ----------
        precision : str
            Makes no difference: with fp16 the network casts inside.

        Returns
        -------
        TensorSpec
            float32.

        """
        return TensorSpec(0, 0)

    def decode(
        self,
        outputs: tuple[torch.Tensor, ...],
        to_source: AffineMap,
        limits: DetectionLimits,
    ) -> Detections:
        """
        Suppress overlapping candidates.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            Boxes (N, 4) xyxy, scores (N,), class ids (N,), as ``TorchvisionDetector`` returns.
        to_source : AffineMap
            The picture's map.
        limits : DetectionLimits
            What is reported.

        Returns
        -------
        Detections
            Boxes in source pixels.  Does not block.

        """
        shapes = [tuple(tensor.shape) for tensor in outputs]
        count = shapes[0][0] if shapes and shapes[0] else 0
        fits = shapes == [(count, 4), (count,), (count,)]
        self.require(fits, outputs, 'boxes (N, 4), scores (N,) and class ids (N,)')
        boxes, scores, class_ids = outputs
        return suppressed(boxes, scores, class_ids, limits, to_source)
