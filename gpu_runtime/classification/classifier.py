# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything it needs to say what pictures show."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpu_runtime.classification.activation import activate
from gpu_runtime.classification.activation import Activation
from gpu_runtime.classification.activation import resolve_activation
from gpu_runtime.classification.class_names import class_names
from gpu_runtime.errors import ModelError
from gpu_runtime.fit import Fit
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import example_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_runtime.detection.label_map import LabelMap
    from gpu_runtime.models import Model


@dataclass(frozen=True)
class Classifier:
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
        What turns its outputs into scores.

    """

    model: Model
    spec: TensorSpec
    labels: LabelMap
    activation: Activation

    @classmethod
    def warmed(
        cls,
        model: Model,
        spec: TensorSpec,
        *,
        device: torch.device,
        batch: int = 1,
        labels: str | Sequence[str] = 'auto',
        activation: Activation = 'auto',
    ) -> Classifier:
        """
        Run a network on example pictures, and learn from it what its outputs are; blocks.

        Parameters
        ----------
        model : Model
            Not yet prepared; closed if it does not fit.
        spec : TensorSpec
            What it reads, with a size.
        device : torch.device
            Where it is.
        batch : int
            Pictures that it will read at once.
        labels : str or sequence of str
            As for :func:`class_names`.
        activation : str
            One of ``ACTIVATIONS``.

        Returns
        -------
        Classifier
            Ready: no frame pays for kernels or graphs.

        Raises
        ------
        ModelError
            If the network does not return one score per class, or cannot read a batch.
        ParameterError
            If the labels do not fit.

        """
        example = example_tensor(spec, spec.width, spec.height, device, batch=batch)
        try:
            outputs = _outputs(model, example)
            names = class_names(labels, outputs.shape[1])
            done = cls(model, spec, names, resolve_activation(activation, outputs))
            done.top(example, 1)
        except BaseException:
            model.close()
            raise
        if device.type == 'cuda':
            torch.cuda.current_stream(device).synchronize()
        return done

    @property
    def picture_spec(self) -> TensorSpec:
        """What a whole picture is prepared as, to cut regions from: its own size, in planes."""
        return replace(
            self.spec,
            width=0,
            height=0,
            fit=Fit.STRETCH,
            layout=Layout.NCHW,
            dtype=torch.float32,
        )

    def top(self, pictures: torch.Tensor, count: int) -> torch.Tensor:
        """
        Return the likeliest classes of each picture, on the calling thread's current stream.

        Parameters
        ----------
        pictures : torch.Tensor
            A batch prepared as :attr:`spec` asks.
        count : int
            Classes per picture; fewer where the network has fewer.

        Returns
        -------
        torch.Tensor
            float32 (N, k, 2): class id (exact below 2 ** 24) and score, falling.  Does not block.

        """
        scores = activate(_scores(self.model(pictures), pictures), self.activation)
        best, ids = scores.topk(min(count, scores.shape[1]), dim=1)
        return torch.stack((ids.to(best.dtype), best), dim=2)

    def close(self) -> None:
        """Release the network."""
        self.model.close()


def _outputs(model: Model, pictures: torch.Tensor) -> torch.Tensor:
    """Prepare a network and return its outputs for a batch."""
    try:
        model.prepare((pictures,))
        outputs = model(pictures)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ModelError(
            f'the network cannot read pictures of shape {tuple(pictures.shape)} '
            f'({str(error).splitlines()[0]}); expected one that does: set the input size, and '
            'with regions choose a network of any batch size'
        ) from error
    return _scores(outputs, pictures)


def _scores(outputs: tuple[torch.Tensor, ...], pictures: torch.Tensor) -> torch.Tensor:
    """Return the first output as (N, C)."""
    first = outputs[0]
    if first.dim() < 2 or first.shape[0] != pictures.shape[0] or first[0].numel() < 2:
        raise ModelError(
            f'the network returned {", ".join(str(tuple(tensor.shape)) for tensor in outputs)}; '
            f'expected ({pictures.shape[0]}, classes): choose a network that classifies'
        )
    if first[0].numel() != first.shape[1]:
        raise ModelError(
            f'the network returned {tuple(first.shape)}, a map; expected one score per class: '
            'choose a network that classifies'
        )
    return first.flatten(1)
