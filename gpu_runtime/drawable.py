# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of a frame as something can be drawn on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from gpu_runtime.frame import Frame
    from gpu_runtime.stream import Stream

RGB = TensorSpec(0, 0, layout=Layout.NHWC, scale=1.0)
"""Red, green and blue from 0 to 255 at the picture's own size."""


def drawable_pixels(frame: Frame, stream: Stream) -> tuple[torch.Tensor, ImageFormat]:
    """
    Return the bytes of a picture in an encoding that OpenCV can draw on.

    Parameters
    ----------
    frame : Frame
        A picture.
    stream : Stream
        The calling thread's current stream; does not block.

    Returns
    -------
    tuple
        uint8 (format.nbytes,) on the device, and how to read it: the frame's own bytes where the
        encoding is 8-bit colour or grey, to be read only and valid for work enqueued while the
        caller holds the frame; else rgb8 without row padding, owned by the caller.

    Raises
    ------
    SpecMismatchError
        If the frame is a depth map.

    """
    if ENCODINGS[frame.format.encoding].drawable:
        return frame.use(stream), frame.format
    pixels = frame.tensor(RGB, stream).tensor.round().clamp(0, 255).to(torch.uint8)
    width, height = frame.format.width, frame.format.height
    return pixels.reshape(-1), ImageFormat(width, height, 'rgb8', width * 3)
