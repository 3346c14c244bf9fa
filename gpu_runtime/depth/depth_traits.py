# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of depth networks by name, for the parameters that are left to ``auto``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from typing import Literal
from typing import TYPE_CHECKING

from gpu_runtime.models.published_model import MIDAS_SMALL

if TYPE_CHECKING:
    from gpu_runtime.depth.depth_conversion import DepthKind
    from gpu_runtime.normalization import Normalization

AUTO: Final = 'auto'
AutoDepthKind = Literal['auto', 'metric', 'relative', 'inverse']
AutoDepthNormalization = Literal['auto', 'unit', 'imagenet', 'symmetric', 'bytes']


@dataclass(frozen=True)
class DepthTraits:
    """
    How a depth network reads pictures and what it says about them.

    Parameters
    ----------
    kind : str
        As for :class:`~gpu_runtime.depth.DepthConversion`.
    normalization : str
        As for :func:`~gpu_runtime.depth.depth_input`.
    scale : float
        As for :class:`~gpu_runtime.depth.DepthConversion`.
    calibrated : bool
        Whether depth comes out in metres without the user's scale and shift.

    """

    kind: DepthKind = 'metric'
    normalization: Normalization = 'imagenet'
    scale: float = 1.0
    calibrated: bool = True


_BY_NAME = {
    # The file subtracts ImageNet's mean by itself.  Source: tf/make_onnx_model.py of MiDaS 2.1.
    # Its values are inverse depth up to an unknown scale and shift, in the hundreds; the factor
    # only brings them into the range of a room.
    MIDAS_SMALL.name: DepthTraits('inverse', 'unit', 1e-3, calibrated=False)
}


def depth_traits(model: str) -> DepthTraits:
    """
    Return what ``auto`` stands for.

    Parameters
    ----------
    model : str
        Value of the parameter ``model``.

    Returns
    -------
    DepthTraits
        Of the published network, or what most files are: metric, ImageNet's normalisation.

    """
    return _BY_NAME.get(model, DepthTraits())
