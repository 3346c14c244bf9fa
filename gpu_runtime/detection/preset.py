# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What a family of detectors has in common: how to prepare a picture and read the outputs.

Protocol: ``spec`` and ``default_labels`` are read at configure.  ``inputs`` is called per frame,
on the stage's thread and current stream; ``decode`` too, or else while a graph is recorded, which
then replays it for each frame.
"""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from typing import ClassVar
from typing import TYPE_CHECKING

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.errors import ModelError
from gpu_runtime.transforms import example_tensor
from gpu_runtime.transforms import PreparedTensor

if TYPE_CHECKING:
    from gpu_runtime.detection.detections import Detections
    from gpu_runtime.detection.picture_limits import PictureLimits
    from gpu_runtime.models.model_source import ModelSource
    from gpu_runtime.models.precision import Precision
    from gpu_runtime.tensor_spec import TensorSpec

_EXAMPLE_WH = (640, 480)


class DetectionPreset(ABC):
    """One way to feed a detector and to read it."""

    name: ClassVar[str]
    """The value of the parameter ``preset`` that selects it."""
    fixed_shape: ClassVar[bool] = True
    """Whether the network's shapes depend on its input's shape alone: it can be captured."""

    @classmethod
    @abstractmethod
    def recognises(cls, source: ModelSource) -> bool:
        """
        Tell from the outside of a model whether this preset fits it.

        Parameters
        ----------
        source : ModelSource
            Inspected already; nothing is loaded.

        Returns
        -------
        bool
            True only if no doubt is left.

        """

    @classmethod
    @abstractmethod
    def from_source(cls, source: ModelSource, input_wh: tuple[int, int] | None) -> DetectionPreset:
        """
        Make the preset for one model.

        Parameters
        ----------
        source : ModelSource
            The model.
        input_wh : tuple of int, optional
            Width and height of the network's input in pixels, where the model leaves it open.

        Returns
        -------
        DetectionPreset
            Ready for use.

        Raises
        ------
        ModelError
            If the model cannot be of this family, or has another size.

        """

    @property
    @abstractmethod
    def default_labels(self) -> str | tuple[str, ...]:
        """Names that fit the network's class ids, as ``load_labels`` takes them."""

    @abstractmethod
    def spec(self, precision: Precision = 'fp32') -> TensorSpec:
        """
        Return what the network wants to read.

        Parameters
        ----------
        precision : str
            ``'fp32'`` or ``'fp16'``.

        Returns
        -------
        TensorSpec
            For ``Frame.tensor``.

        """

    def inputs(self, prepared: PreparedTensor) -> tuple[torch.Tensor, ...]:
        """
        Return the arguments of the network.

        Parameters
        ----------
        prepared : PreparedTensor
            A picture prepared by :meth:`spec`.

        Returns
        -------
        tuple of torch.Tensor
            On the tensor's device; they may share its memory.  Does not block.

        """
        return (prepared.tensor,)

    @abstractmethod
    def decode(self, outputs: tuple[torch.Tensor, ...], limits: PictureLimits) -> Detections:
        """
        Read the outputs of the network, in shapes that depend on theirs alone.

        Parameters
        ----------
        outputs : tuple of torch.Tensor
            As the model returned them; they are not changed.
        limits : PictureLimits
            What is reported, and where the picture lies: numbers on the device, which differ
            from frame to frame.

        Returns
        -------
        Detections
            New tensors of ``limits.capacity`` entries, boxes in pixels of the source picture.
            Does not block, but for the first call on a device.

        Raises
        ------
        ModelError
            If number or shapes of the outputs are not those of this family.

        """

    def example_inputs(
        self, device: torch.device, precision: Precision = 'fp32'
    ) -> tuple[torch.Tensor, ...]:
        """
        Return inputs of an example picture, to prepare a model with.

        Parameters
        ----------
        device : torch.device
            Where the model is.
        precision : str
            As for :meth:`spec`.

        Returns
        -------
        tuple of torch.Tensor
            Arguments for ``Model.prepare``; of a 640 x 480 picture where the size is open.

        """
        spec = self.spec(precision)
        tensor = example_tensor(spec, *_EXAMPLE_WH, device)
        return self.inputs(PreparedTensor(tensor, AffineMap.fit(spec, *_EXAMPLE_WH), spec))

    def require(self, fits: bool, outputs: tuple[torch.Tensor, ...], expected: str) -> None:
        """
        Refuse outputs of another family.

        Parameters
        ----------
        fits : bool
            Whether the shapes are as expected.
        outputs : tuple of torch.Tensor
            What the network returned.
        expected : str
            What this preset reads.

        Raises
        ------
        ModelError
            If they do not fit.

        """
        if not fits:
            raise ModelError(
                f'preset {self.name}: the network returned '
                f'{", ".join(str(tuple(tensor.shape)) for tensor in outputs)}; expected '
                f'{expected}: set the parameter preset to the family of this model'
            )


def half_if(precision: Precision) -> torch.dtype:
    """
    Return the type of a tensor for a precision.

    Parameters
    ----------
    precision : str
        ``'fp32'`` or ``'fp16'``.

    Returns
    -------
    torch.dtype
        float32 or float16.

    """
    return torch.float16 if precision == 'fp16' else torch.float32


def coco_labels(count: int) -> str | tuple[str, ...]:
    """
    Return the label set that a number of classes suggests.

    Parameters
    ----------
    count : int
        Classes that a network tells apart.

    Returns
    -------
    str or tuple of str
        ``'coco80'``, ``'coco91'``, or the class ids themselves as names.

    """
    if count in (80, 91):
        return f'coco{count}'
    return tuple(str(number) for number in range(count))
