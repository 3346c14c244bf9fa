# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to give each pixel a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.classification.activation import Activation
from gpu_runtime.classification.activation import resolve_activation
from gpu_runtime.classification.class_names import class_names
from gpu_runtime.detection.labels import load_labels
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.layout import Layout
from gpu_runtime.segmentation.class_map import class_map
from gpu_runtime.segmentation.palette import MAX_CLASSES
from gpu_runtime.transforms import example_tensor
from gpu_runtime.transforms import PreparedTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_runtime.detection.label_map import LabelMap
    from gpu_runtime.models import Model
    from gpu_runtime.tensor_spec import TensorSpec

_EXAMPLE_WH = (640, 480)


@dataclass(frozen=True)
class Segmenter:
    """
    A network with everything that belongs to it.

    Parameters
    ----------
    model : Model
        The network.
    spec : TensorSpec
        What it reads.
    labels : LabelMap
        Names of its classes.
    activation : str
        What makes scores of its outputs.
    scored : bool
        Whether it gives scores, or class ids alone.

    """

    model: Model
    spec: TensorSpec
    labels: LabelMap
    activation: Activation = 'softmax'
    scored: bool = True

    @classmethod
    def warmed(
        cls,
        model: Model,
        spec: TensorSpec,
        *,
        device: torch.device,
        labels: str | Sequence[str] = 'auto',
        activation: Activation = 'auto',
    ) -> Segmenter:
        """
        Run a network on an example picture, and learn from it what its outputs are; blocks.

        Parameters
        ----------
        model : Model
            Not yet prepared; closed if it does not fit.
        spec : TensorSpec
            What it reads, with a size.
        device : torch.device
            Where it is.
        labels : str or sequence of str
            As for :func:`class_names`.
        activation : str
            One of ``ACTIVATIONS``.

        Returns
        -------
        Segmenter
            Ready: no frame pays for kernels or graphs.

        Raises
        ------
        ModelError
            If the network does not return a map of scores or of class ids.
        ParameterError
            If the labels do not fit.

        """
        tensor = example_tensor(spec, *_EXAMPLE_WH, device)
        try:
            model.prepare((tensor,))
            outputs = _map(model(tensor), spec)
            done = cls(model, spec, *_understood(outputs, labels, activation))
            done(PreparedTensor(tensor, AffineMap.fit(spec, *_EXAMPLE_WH), spec))
        except BaseException:
            model.close()
            raise
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()
        return done

    def __call__(
        self,
        prepared: PreparedTensor,
        *,
        confidence_floor: float = 0.0,
        void_class: int = 255,
    ) -> torch.Tensor:
        """
        Give each pixel a class, on the calling thread's current stream.

        Parameters
        ----------
        prepared : PreparedTensor
            A picture prepared by :attr:`spec`.
        confidence_floor : float
            As for :func:`class_map`.
        void_class : int
            As for :func:`class_map`.

        Returns
        -------
        torch.Tensor
            uint8 (H, W) at the size of the source picture, new memory.  Does not block.

        """
        return class_map(
            _map(self.model(prepared.tensor), self.spec),
            prepared.map,
            (self.spec.height, self.spec.width),
            activation=self.activation,
            confidence_floor=confidence_floor,
            void_class=void_class,
        )

    def close(self) -> None:
        """Release the network."""
        self.model.close()


def _understood(
    outputs: torch.Tensor, labels: str | Sequence[str], activation: Activation
) -> tuple[LabelMap, Activation, bool]:
    """Return labels, activation and whether there are scores, from outputs of any picture."""
    if outputs.is_floating_point():
        names = class_names(labels, outputs.shape[1])
        return names, resolve_activation(activation, outputs.float()), True
    if labels == 'auto':
        raise ParameterError(
            'labels auto: the network returns class ids and does not say how many there are; '
            'expected a set, a file or a list of names'
        )
    return load_labels(labels), 'none', False


def _map(outputs: tuple[torch.Tensor, ...], spec: TensorSpec) -> torch.Tensor:
    """Return the first output as (1, C, h, w)."""
    first = outputs[0]
    if first.dim() == 3:
        first = first[:, None]
    if first.dim() == 4 and spec.layout is Layout.NHWC and _is_last(first, spec):
        first = first.permute(0, 3, 1, 2)
    least = 2 if first.is_floating_point() else 1
    if first.dim() == 4 and first.shape[0] == 1 and least <= first.shape[1] <= MAX_CLASSES:
        return first
    raise ModelError(
        f'the network returned {", ".join(str(tuple(tensor.shape)) for tensor in outputs)}; '
        f'expected (1, 2 to {MAX_CLASSES} classes, height, width), or integers (1, height, '
        'width): choose a network that segments'
    )


def _is_last(outputs: torch.Tensor, spec: TensorSpec) -> bool:
    """Whether the two middle axes have the aspect of the input."""
    return outputs.shape[1] * spec.width == outputs.shape[2] * spec.height
