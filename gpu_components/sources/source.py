# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A camera inside the process: pictures go onto the bus without passing through DDS."""

from __future__ import annotations

from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING
from typing import TypeVar

from sensor_msgs.msg import Image

from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.output import Output
from gpu_components.sources.source_parameters import SourceParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

Q = TypeVar('Q', bound=SourceParameters)
S = TypeVar('S')


class Source(Component[Q, S]):
    """A component without inputs that produces pictures at a rate; a subclass writes ``read``."""

    parameters: ClassVar[type[ComponentParameters]] = SourceParameters
    outputs: ClassVar[tuple[Output, ...]] = (Output('image_raw', Image, bus=True),)
    encoding: ClassVar[str] = 'bgr8'

    def read(self) -> NDArray[Any] | None:
        """
        Return the next picture.

        Returns
        -------
        numpy.ndarray or None
            (height, width) or (height, width, channels) of the type of :attr:`encoding`, which is
            not one of two planes; valid until the next call; None at the end.

        """
        raise NotImplementedError
