# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The size of a network's input as two parameters ask for it."""

from __future__ import annotations

from gpu_runtime.errors import ParameterError


def asked_wh(width: int, height: int) -> tuple[int, int] | None:
    """
    Return the size that is asked for.

    Parameters
    ----------
    width : int
        Value of ``input_width`` in pixels; 0 leaves it to the model.
    height : int
        Value of ``input_height`` in pixels; 0 leaves it to the model.

    Returns
    -------
    tuple of int or None
        Width and height, or None for the model's own.

    Raises
    ------
    ParameterError
        If only one of them is set.

    """
    if bool(width) != bool(height):
        raise ParameterError(f'input size {width}x{height}: set both or neither')
    return (width, height) if width else None
