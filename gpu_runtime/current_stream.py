# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The calling thread's current stream, as torch keeps it.

``torch.cuda.stream()`` does the same and takes nine microseconds under the interpreter lock: it
asks for the device several times and makes an object each time.  A frame enters a stream a dozen
times, so this makes the calls in which that ends.

Source: ``StreamContext``, ``current_stream``, ``set_stream`` in ``torch/cuda/__init__.py``.
"""

from __future__ import annotations

import torch

Before = tuple[int, tuple[int, int, int]]
"""What was current: the device, and the stream of the device that was entered."""


def enter(stream: torch.cuda.Stream) -> Before:
    """
    Make a stream, and its device, current on the calling thread.

    Parameters
    ----------
    stream : torch.cuda.Stream
        Any stream.  Does not block.

    Returns
    -------
    tuple
        What :func:`leave` takes.

    """
    index = stream.device_index
    before = torch._C._cuda_getDevice(), torch._C._cuda_getCurrentStream(index)
    _set(stream.stream_id, index, stream.device_type)
    return before


def leave(before: Before) -> None:
    """
    Make current again what was.

    Parameters
    ----------
    before : tuple
        As returned by :func:`enter`.

    """
    device, stream = before
    _set(*stream)
    if device != stream[1]:
        torch._C._cuda_setDevice(device)


def _set(stream_id: int, device_index: int, device_type: int) -> None:
    """Set a stream by what identifies it; makes its device the current one too."""
    torch._C._cuda_setStream(
        stream_id=stream_id, device_index=device_index, device_type=device_type
    )
