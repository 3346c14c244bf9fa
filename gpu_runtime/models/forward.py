# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One forward pass with its casts: shared by every backend that runs a torch module."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from dataclasses import dataclass

import torch

from gpu_runtime.errors import ModelError

Finish = Callable[[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]
"""
What follows a network, in the same graph where there is one: ``finish(outputs, inputs)``.

Its shapes depend on those of its arguments alone, it does not wait for the device, and numbers
that may change from call to call it reads from device memory that stays where it is.
"""


@dataclass(frozen=True)
class Forward:
    """
    A module as a function from tensors to a flat tuple of tensors.

    Parameters
    ----------
    module : torch.nn.Module
        The network, in evaluation mode and on its device.
    dtype : torch.dtype, optional
        Type that floating inputs are cast to: the type of the module's weights; None for inputs
        as they come.
    autocast : torch.dtype, optional
        Keep the weights in float32 and let torch choose this type per operation; for networks
        with parts that do not exist in it.
    finish : callable, optional
        What is made of the outputs.  It is not compiled along with the module.
    widen : bool
        Whether floating outputs become float32.

    """

    module: torch.nn.Module
    dtype: torch.dtype | None = torch.float32
    autocast: torch.dtype | None = None
    finish: Finish | None = None
    widen: bool = True

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the module without gradients.

        Parameters
        ----------
        *inputs : torch.Tensor
            On the module's device.

        Returns
        -------
        tuple of torch.Tensor
            Outputs in order, or what ``finish`` makes of them.
            Enqueued on the current stream.

        Raises
        ------
        ModelError
            If the module returns something other than (nested) tensors.

        """
        with torch.inference_mode():
            with self._precision():
                outputs = self.flat(*inputs)
            return outputs if self.finish is None else self.finish(outputs, inputs)

    def flat(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        Run the module in whatever mode torch is: what a compiler traces.

        Parameters
        ----------
        *inputs : torch.Tensor
            As for a call.

        Returns
        -------
        tuple of torch.Tensor
            Outputs in order.

        """
        outputs = self.module(*(_cast(tensor, self.dtype) for tensor in inputs))
        dtype = torch.float32 if self.widen else None
        return tuple(_cast(tensor, dtype) for tensor in _flatten(outputs))

    def own_input(self, tensor: torch.Tensor) -> torch.Tensor:
        """
        Return a copy of an input in the type and the memory order that the module reads.

        Parameters
        ----------
        tensor : torch.Tensor
            As for a call.

        Returns
        -------
        torch.Tensor
            New memory: copying the next input into it converts it on the way.

        """
        dtype = self.dtype if self.dtype and tensor.is_floating_point() else tensor.dtype
        last = tensor.dim() == 4 and any(map(_is_channels_last, self.module.parameters()))
        order = torch.channels_last if last else torch.preserve_format
        return tensor.to(dtype, copy=True, memory_format=order)

    def close(self) -> None:
        """Free the module's weights now; blocks until the device has finished with them."""
        weights = [*self.module.parameters(), *self.module.buffers()]
        for device in {tensor.device for tensor in weights if tensor.is_cuda}:
            torch.cuda.synchronize(device)
        # Traced networks refer to themselves: dropped, they would keep their memory until the
        # garbage collector comes by.
        with contextlib.suppress(RuntimeError):  # a scripted module that cannot be moved
            self.module.to('meta')
        close = getattr(self.module, 'close', None)
        if close is not None:
            close()

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self.autocast is not None:
            return torch.autocast('cuda', dtype=self.autocast)
        return contextlib.nullcontext()


def _is_channels_last(weight: torch.Tensor) -> bool:
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return last and not weight.is_contiguous()


def _cast(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    if dtype is None or not tensor.is_floating_point():
        return tensor
    return tensor.to(dtype)


def _flatten(value: object) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples, lists and mappings, in their own order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _flatten(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _flatten(item)
    else:
        raise ModelError(
            f'the network returned a {type(value).__name__}; expected tensors, or tuples, lists '
            'and dicts of tensors: export it so that its forward returns tensors only'
        )
