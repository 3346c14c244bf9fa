# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors: the sizes that they scale pictures to, and their candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.detection.candidates import suppressed
from gpu_runtime.detection.preset import DetectionPreset
from gpu_runtime.detection.preset import half_if
from gpu_runtime.errors import ModelError
from gpu_runtime.fit import Fit
from gpu_runtime.models.source_kind import SourceKind
from gpu_runtime.models.torchvision_source import detector_transform
from gpu_runtime.models.torchvision_source import is_detector
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    import torch

    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision


class TorchvisionPreset(DetectionPreset):
    """
    Any network of ``torchvision.models.detection``.

    RGB, normalised, class ids in COCO's 91-number scheme.  Without a size, pictures are scaled
    as torchvision does: 1280 x 720 to 1333 x 749 for most networks, so that each size of
    picture is a shape of its own.  With a size, all pictures are letterboxed into that one.

    Parameters
    ----------
    spec : TensorSpec
        What the network reads, in float32.

    """

    name = 'torchvision'

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec

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
            One size for all pictures; default as torchvision scales them.

        Returns
        -------
        TorchvisionPreset
            For this network.

        Raises
        ------
        ModelError
            If the source is no torchvision detector, or one of another size.

        """
        if not cls.recognises(source):
            raise ModelError(
                f'preset torchvision: {source.name!r} is no detector of torchvision; expected '
                'torchvision/<name> from torchvision.models.detection: set preset to auto'
            )
        return cls(_spec(source, detector_transform(source.name), input_wh))

    @property
    def default_labels(self) -> str | tuple[str, ...]:
        """COCO's 91 numbers, background included."""
        return 'coco91'

    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return RGB, normalised and scaled as the network was trained.

        Parameters
        ----------
        precision : str
            ``'fp32'`` or ``'fp16'``.

        Returns
        -------
        TensorSpec
            NCHW; its size is open unless one was asked for, or the network has one.

        """
        return replace(self._spec, dtype=half_if(precision))

    def decode(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> Detections:
        """
        Suppress overlapping candidates.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            Boxes (N, 4) xyxy, scores (N,), class ids (N,), as ``TorchvisionDetector`` returns.
        limits : PictureLimits
            What is reported, and where the picture lies.

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
        return suppressed(boxes, scores, class_ids, limits)


def _spec(source: ModelSource, transform: Any, input_wh: tuple[int, int] | None) -> TensorSpec:
    """Return what torchvision's transform does; it never averages."""
    own = transform.fixed_size
    if own is not None and input_wh not in (None, own):
        raise ModelError(
            f'{source.name} reads {own[0]}x{own[1]} px; got an input size of '
            f'{input_wh[0]}x{input_wh[1]}: leave the size to the model'
        )
    mean, std = tuple(transform.image_mean), tuple(transform.image_std)
    values = TensorSpec(0, 0, mean=mean, std=std, pad=255 * sum(mean) / 3, antialias=False)
    if own is not None:
        return replace(values, width=own[0], height=own[1])
    if input_wh is not None:
        width, height = input_wh
        return replace(values, width=width, height=height, fit=Fit.LETTERBOX_TOP_LEFT)
    return replace(values, short_side=transform.min_size[-1], long_side=transform.max_size)
