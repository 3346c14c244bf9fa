# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A colour per class."""

from __future__ import annotations

from collections.abc import Sequence
import re
from typing import TYPE_CHECKING

import torch

from gpu_runtime.errors import ParameterError

if TYPE_CHECKING:
    from gpu_runtime.detection.label_map import LabelMap

MAX_CLASSES = 256
"""Class ids are bytes."""

_COLOR = re.compile(r'(?:(?P<name>.+)=)?#(?P<rgb>[0-9a-fA-F]{6})')


def pascal_palette() -> torch.Tensor:
    """
    Return the colours of the PASCAL VOC challenge, which tell all 256 classes apart.

    Returns
    -------
    torch.Tensor
        uint8 (256, 3), red, green, blue, on the host.  Class 0 is black, 255 is (224, 224, 192).
        Source: the VOC development kit: the bits of the class id, three at a time, fill the bits
        of the three colours from the highest down.

    """
    ids = torch.arange(MAX_CLASSES)
    colors = torch.zeros((MAX_CLASSES, 3), dtype=torch.int64)
    for position in range(8):
        for channel in range(3):
            bit = ids >> (3 * position + channel) & 1
            colors[:, channel] |= bit << (7 - position)
    return colors.to(torch.uint8)


def load_palette(palette: str | Sequence[str], labels: LabelMap | None = None) -> torch.Tensor:
    """
    Return the colours that a user asks for.

    Parameters
    ----------
    palette : str or sequence of str
        ``'pascal'``; or entries ``#rrggbb``, for class 0, 1 and so on, or ``NAME=#rrggbb``.
        Classes without an entry keep PASCAL's colour.
    labels : LabelMap, optional
        Names of the classes; without it names are not looked up.

    Returns
    -------
    torch.Tensor
        uint8 (256, 3), red, green, blue, on the host.

    Raises
    ------
    ParameterError
        If an entry is no colour, a name no class, or there are too many.

    """
    colors = pascal_palette()
    if palette == 'pascal':
        return colors
    entries = [palette] if isinstance(palette, str) else palette
    if len(entries) > MAX_CLASSES:
        raise ParameterError(f'palette has {len(entries)} colours; expected at most {MAX_CLASSES}')
    for index, entry in enumerate(entries):
        match = _COLOR.fullmatch(entry)
        if match is None:
            raise ParameterError(
                f'palette entry {entry!r} is no colour; expected pascal, #rrggbb or NAME=#rrggbb'
            )
        rgb = torch.tensor(list(bytes.fromhex(match['rgb'])), dtype=torch.uint8)
        if match['name'] is None:
            colors[index] = rgb
        elif labels is not None:
            colors[list(labels.ids([match['name']]))] = rgb
    return colors


def colored(ids: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """
    Return a picture of class ids.

    Parameters
    ----------
    ids : torch.Tensor
        uint8 (H, W).
    palette : torch.Tensor
        uint8 (256, 3) on the same device.

    Returns
    -------
    torch.Tensor
        uint8 (H, W, 3).  Enqueued on the current stream; does not block.

    """
    # As int32: torch takes bytes as an index for a mask.
    return palette.index_select(0, ids.flatten().to(torch.int32)).view(*ids.shape, 3)
