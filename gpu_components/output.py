# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a component publishes, and what it hands over per frame."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import TYPE_CHECKING

from gpu_runtime.frame import Frame

if TYPE_CHECKING:
    import torch

    from gpu_runtime.stream import Stream


@dataclass(frozen=True)
class Output:
    """
    A topic that a component publishes.

    Parameters
    ----------
    topic : str
        Default name, relative, remappable.
    msg_type : type
        ROS message class.
    bus : bool
        Frames go to other components in the process too, by reference.
    latched : bool
        Late ROS subscribers get the last message (transient local).

    """

    topic: str
    msg_type: type[Any]
    bus: bool = False
    latched: bool = False


@dataclass(frozen=True)
class Result:
    """
    Device tensors that become one message.

    Parameters
    ----------
    tensors : tuple of torch.Tensor
        Copied to the host without waiting; one small tensor is best.
    build : callable
        ``build(header, *arrays)`` returns the message, best a :class:`Serialized`; runs on the
        completion thread.  The arrays are its own to write to, and valid until the message is
        published.
    bus : callable, optional
        ``bus(frame, tensors, stream)`` returns what the components get, by reference, that read
        an output with ``bus=True``; called on the stage's thread while there are any.

    """

    tensors: tuple[torch.Tensor, ...]
    build: Callable[..., Any]
    bus: Callable[[Frame, tuple[torch.Tensor, ...], Stream], Any] | None = None


Results = Mapping[str, Result | Frame]
"""Output topic to its result; outputs that nobody wants may be left out."""
