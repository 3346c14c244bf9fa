# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The size of a network's input, from its file or from the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_runtime.errors import ModelError

if TYPE_CHECKING:
    from gpu_runtime.models.model_source import ModelSource


def input_wh(
    source: ModelSource,
    wanted: tuple[int, int] | None,
    *,
    default: tuple[int, int],
    multiple: int = 1,
    fixed: bool = True,
) -> tuple[int, int]:
    """
    Decide the size of a network's input.

    Parameters
    ----------
    source : ModelSource
        The model; an ONNX file may state the size.
    wanted : tuple of int, optional
        Width and height that the user asks for, in pixels.
    default : tuple of int
        Where neither says anything.
    multiple : int
        Both sides must be a multiple of it.
    fixed : bool
        Whether the size that the file states is binding; some networks run at any size.

    Returns
    -------
    tuple of int
        Width and height in pixels.

    Raises
    ------
    ModelError
        If the wanted size is not the file's, or no multiple.

    """
    stated = _stated_wh(source) if fixed else None
    if stated is not None and wanted is not None and stated != wanted:
        raise ModelError(
            f'{source.name} reads {stated[0]}x{stated[1]} px; got an input size of '
            f'{wanted[0]}x{wanted[1]}: leave the size to the model, or export it at this size'
        )
    width, height = stated or wanted or default
    if width < 1 or height < 1 or width % multiple or height % multiple:
        raise ModelError(
            f'{source.name}: input size {width}x{height} px; expected positive multiples of '
            f'{multiple}'
        )
    return width, height


def _stated_wh(source: ModelSource) -> tuple[int, int] | None:
    if source.published is not None:
        return source.published.input_wh
    signature = source.signature
    if signature is None:
        return None
    shape = next(iter(signature.inputs.values()))
    if len(shape) != 4 or not all(shape[2:]):
        return None
    return shape[3], shape[2]
