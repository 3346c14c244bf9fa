# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operation that runs a network from pictures to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import ClassVar
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.image_format import MAX_SIDE_PX
from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.geometry import resized
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.models import BACKENDS
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.models import PRECISIONS
from gpu_runtime.models.factory import Backend
from gpu_runtime.models.precision import Precision
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import example_tensor

if TYPE_CHECKING:
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.image_ops.picture import Picture
    from gpu_runtime.models import Model


@dataclass(frozen=True)
class Network(Operation):
    """
    Run an image-to-image network: RGB (or grey) 0 to 1, NCHW, in and out, of batch one.

    The result has the picture's size times the ratio of the network's output to its input, so
    that a network of a fixed size and one that enlarges both fit.
    """

    name: ClassVar[str] = 'model'
    source: str = argument('Model file, .onnx, .pt2 or .pt, or torchvision/NAME.')
    weights: str = argument('For torchvision models.', default='DEFAULT')
    backend: Backend = argument(  # noqa: RUF009
        'What runs it.', default='auto', choices=BACKENDS
    )
    precision: Precision = argument(  # noqa: RUF009
        'Arithmetic.', default='fp32', choices=PRECISIONS
    )
    width: int = argument(
        'Columns of its input; 0 takes the model or the picture.',
        default=0,
        unit='px',
        ge=0,
        le=MAX_SIDE_PX,
    )
    height: int = argument(
        'Rows of its input; 0 takes the model or the picture.',
        default=0,
        unit='px',
        ge=0,
        le=MAX_SIDE_PX,
    )
    multiple: int = argument(
        'Without a size: sides of the picture are rounded up to it.',
        default=1,
        unit='px',
        ge=1,
        le=1024,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.width) != bool(self.height):
            raise ParameterError(
                f'operations: model: input size {self.width}x{self.height}: set both or neither'
            )

    def inspect(self, *, allow_unsafe_models: bool) -> None:
        """
        Refuse a network that cannot work, without loading it.

        Parameters
        ----------
        allow_unsafe_models : bool
            As for :meth:`ModelSource.inspect`.

        Raises
        ------
        ModelError
            If the source is missing, unsafe, or takes no picture of batch one.

        """
        source = ModelSource.parse(self.source)
        source.inspect(weights=self.weights, allow_unsafe_models=allow_unsafe_models)
        self._input(source)

    def step(self, context: GpuContext) -> NetworkStep:
        """
        Load the network, and warm it if its input size is known.

        Parameters
        ----------
        context : GpuContext
            Where it will run.  Blocks.

        Returns
        -------
        NetworkStep
            Closed by its owner.

        """
        source = ModelSource.parse(self.source)
        channels, width, height = self._input(source)
        model = load_model(
            source,
            device=context.device,
            backend=self.backend,
            precision=self.precision,
            weights=self.weights,
            allow_unsafe_models=context.allow_unsafe_models,
            capture_lock=context.capture_lock,
            engines=context.engines,
        )
        if width:
            spec = TensorSpec(
                width,
                height,
                channels='rgb' if channels == 3 else 'mono',
                mean=(0.0,) * channels,
                std=(1.0,) * channels,
            )
            model.prepare((example_tensor(spec, width, height, context.device),))
        if context.device.type == 'cuda':
            torch.cuda.current_stream(context.device).synchronize()  # other streams use it next
        return NetworkStep(model, self, (channels, width, height))

    def _input(self, source: ModelSource) -> tuple[int, int, int]:
        """Return channels, width and height of the input; sizes of 0 follow the picture."""
        shape = (1, 3, 0, 0)
        if source.signature is not None:
            stated = next(iter(source.signature.inputs.values()), ())
            if len(stated) != 4 or stated[0] > 1 or stated[1] not in (0, 1, 3):
                raise ModelError(
                    f'operations: model {self.source} takes {stated}; expected one picture '
                    '(1, 3, H, W) or (1, 1, H, W): export it so'
                )
            shape = (1, stated[1] or 3, stated[2], stated[3])
        _, channels, height, width = shape
        wanted, fixed = (self.width, self.height), (width, height)
        if all(wanted) and any(f not in (0, w) for f, w in zip(fixed, wanted, strict=True)):
            raise ModelError(
                f'operations: model {self.source} takes {width}x{height} px; got {self.width}x'
                f'{self.height}: leave width and height out'
            )
        known = wanted if all(wanted) else fixed
        return (channels, *known) if all(known) else (channels, 0, 0)


class NetworkStep:
    """
    A loaded network between two operations; see :class:`~gpu_runtime.image_ops.operation.Step`.

    Parameters
    ----------
    model : Model
        The network; closed by :meth:`close`.
    operation : Network
        Its arguments.
    input : tuple of int
        Channels, width and height that it takes; sizes of 0 follow the picture.

    """

    def __init__(self, model: Model, operation: Network, input: tuple[int, int, int]) -> None:
        self._model = model
        self._operation = operation
        self._channels, self._width, self._height = input

    def __call__(self, picture: Picture) -> Picture:
        """
        Run the network.

        Parameters
        ----------
        picture : Picture
            Any; a size that was not seen before may block while the backend records it.

        Returns
        -------
        Picture
            Grey if the network says so.

        Raises
        ------
        ModelError
            If the network returns no picture.

        """
        planes = picture.luma() if self._channels == 1 else picture.planes.expand(3, -1, -1)
        multiple = self._operation.multiple
        width = self._width or -(-picture.width // multiple) * multiple
        height = self._height or -(-picture.height // multiple) * multiple
        if (width, height) != (picture.width, picture.height):
            planes = resized(planes, width, height)
        found = self._require_picture(self._model(planes[None].clamp(0, 255).div_(255.0)))
        size = (
            round(picture.width * found.shape[2] / width),
            round(picture.height * found.shape[1] / height),
        )
        if size != (found.shape[2], found.shape[1]):
            found = resized(found, *size)
        return _replaced(picture, found.clamp(0, 1) * 255.0)

    def close(self) -> None:
        """Release the network."""
        self._model.close()

    def _require_picture(self, outputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        shape = tuple(outputs[0].shape) if outputs else ()
        if len(shape) == 4 and shape[0] == 1 and shape[1] in (1, 3):
            return outputs[0][0]
        raise ModelError(
            f'operations: model {self._operation.source} returned {shape}; expected a picture '
            '(1, 3, H, W) or (1, 1, H, W), RGB or grey, 0 to 1: take an image-to-image network'
        )


def _replaced(picture: Picture, planes: torch.Tensor) -> Picture:
    """Return a picture of other values, size and perhaps number of planes."""
    height, width = planes.shape[1:]
    camera = picture.camera and picture.camera.scaled(width, height)
    if planes.shape[0] == 1:
        return replace(picture, planes=planes, encoding='mono8', camera=camera)
    encoding = 'rgb8' if picture.encoding == 'mono8' else picture.encoding
    return replace(picture, planes=planes, encoding=encoding, camera=camera)
