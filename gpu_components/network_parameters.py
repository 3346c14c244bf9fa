# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of components that run one network on whole pictures, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_components.asked_size import asked_wh
from gpu_components.component_parameters import ComponentParameters
from gpu_components.parameters import parameter
from gpu_components.parameters import StringList
from gpu_components.resources import resolve_path
from gpu_runtime.classification import ACTIVATIONS
from gpu_runtime.classification import AUTO_NORMALIZATIONS
from gpu_runtime.classification import network_input
from gpu_runtime.classification.activation import Activation
from gpu_runtime.classification.network_input import AutoNormalization
from gpu_runtime.fit import Fit
from gpu_runtime.models import BACKENDS
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PRECISIONS
from gpu_runtime.models.factory import Backend
from gpu_runtime.models.precision import Precision

if TYPE_CHECKING:
    from gpu_runtime.classification.network_input import Task
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.models import Model
    from gpu_runtime.tensor_spec import TensorSpec


@dataclass(frozen=True)
class NetworkParameters(ComponentParameters):
    """Parameters of components that run one network on whole pictures."""

    model: str = parameter(
        '',
        'torchvision/NAME, or a model file (.onnx, .pt2, .pt) by path or package:// name.',
        prepares=True,
    )
    weights: str = parameter(
        'DEFAULT',
        'For torchvision models: DEFAULT, another published name, none, or a weights file.',
        prepares=True,
    )
    labels: str | StringList = parameter(
        'auto',
        'Class names: auto, a set (imagenet1k, voc21), a file, or a list; a background class in '
        'front is added or dropped as the network has one.',
        prepares=True,
    )
    backend: Backend = parameter('auto', 'What runs the network.', choices=BACKENDS, prepares=True)
    precision: Precision = parameter(
        'fp32', 'Arithmetic of the network.', choices=PRECISIONS, prepares=True
    )
    normalization: AutoNormalization = parameter(
        'auto',
        'Range of the input: unit 0 to 1, imagenet mean and deviation, symmetric -1 to 1, bytes '
        '0 to 255; auto for torchvision models.',
        choices=AUTO_NORMALIZATIONS,
        prepares=True,
    )
    channels: str = parameter(
        'rgb', 'Order of the colours in the input.', choices=('rgb', 'bgr'), prepares=True
    )
    fit: str = parameter(
        Fit.STRETCH.value,
        'How pictures of another aspect are brought to the size of the input.',
        choices=tuple(fit.value for fit in Fit),
        prepares=True,
    )
    input_width: int = parameter(
        0, 'Width of the input; 0 takes the model.', unit='px', ge=0, le=8192, prepares=True
    )
    input_height: int = parameter(
        0, 'Height of the input; 0 takes the model.', unit='px', ge=0, le=8192, prepares=True
    )
    activation: Activation = parameter(
        'auto',
        'What makes scores of the outputs; auto leaves probabilities and else takes softmax.',
        choices=ACTIVATIONS,
        prepares=True,
    )

    @property
    def source(self) -> ModelSource:
        """Where the network comes from; not known to exist."""
        return ModelSource.parse(resolve_path(self.model))

    @property
    def label_source(self) -> str | StringList:
        """What names the classes, paths resolved."""
        return resolve_path(self.labels) if isinstance(self.labels, str) else self.labels

    def input_spec(self, task: Task) -> TensorSpec:
        """
        Return what the network reads.

        Parameters
        ----------
        task : str
            ``'classification'`` or ``'segmentation'``.

        Returns
        -------
        TensorSpec
            With a size.

        Raises
        ------
        GpuPerceptionError
            If the model is of another task, or cannot be fed so.

        """
        return network_input(
            self.source,
            task,
            wanted=asked_wh(self.input_width, self.input_height),
            fit=Fit(self.fit),
            channels=self.channels,
            normalization=self.normalization,
            precision=self.precision,
        )

    def inspect(self, context: GpuContext) -> None:
        """
        Check the model and its weights without loading them.

        Parameters
        ----------
        context : GpuContext
            Says whether files that run code are allowed.

        Raises
        ------
        ModelError
            If they do not exist, or are not allowed.

        """
        self.source.inspect(
            weights=resolve_path(self.weights), allow_unsafe_models=context.allow_unsafe_models
        )

    def load(self, context: GpuContext, *, widen: bool = True) -> Model:
        """
        Load the network; blocks.

        Parameters
        ----------
        context : GpuContext
            Where it runs.
        widen : bool
            As for :func:`load_model`.

        Returns
        -------
        Model
            Not yet prepared; closed by the caller.

        Raises
        ------
        ModelError
            If it cannot be loaded.

        """
        return load_model(
            self.source,
            device=context.device,
            backend=self.backend,
            precision=self.precision,
            weights=resolve_path(self.weights),
            allow_unsafe_models=context.allow_unsafe_models,
            capture_lock=context.capture_lock,
            engines=context.engines,
            widen=widen,
        )
