# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
The contract of the one step from image bytes to a network's input tensor.

Called by a frame, once per distinct spec, on the thread of the stage that asks first and with
that stage's stream current.  Instances may be shared by threads.
"""

from __future__ import annotations

import logging
from typing import Protocol

import torch

from gpu_runtime.image_format import ImageFormat
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.prepared_tensor import PreparedTensor

_logger = logging.getLogger(__name__)


class ImageTransform(Protocol):
    """Decode, resize, pad, reorder, normalise and cast a picture."""

    def __call__(
        self, data: torch.Tensor, format: ImageFormat, spec: TensorSpec
    ) -> PreparedTensor:
        """
        Enqueue the transform on the calling thread's current torch stream.

        Does not block, except to compile a kernel when a combination of encoding and spec is
        first seen.  Resizing is bilinear, pixel centres at half integers (OpenCV's
        ``INTER_LINEAR``), and averages where it shrinks if the spec says ``antialias``.

        Pixels are 0 to 255 whatever the encoding: 0 to 65535 of mono16 becomes that; YUV is
        converted by BT.601 with luma of 16 to 235, after the resize, chroma repeated for the
        pixels that share it; Bayer is debayered bilinearly.  Depth (16UC1 millimetres, 32FC1
        metres) becomes metres, and only for a spec with ``channels='depth'``; only valid samples
        are averaged, and where there is none the value is 0.
        Source: docs/decisions/007-encodings.md.

        Parameters
        ----------
        data : torch.Tensor
            uint8, shape (n,) with n >= ``format.nbytes``, contiguous, on the transform's device.
            It must stay alive and unchanged until the enqueued work is done.
        format : ImageFormat
            Size, encoding and row step of the picture in ``data``.
        spec : TensorSpec
            What the network wants to read.

        Returns
        -------
        PreparedTensor
            Its tensor comes from torch's allocator on the current stream; hand it to another
            stream with an event.

        Raises
        ------
        SpecMismatchError
            If ``data`` has another type or device, or too few bytes, or if depth is to be read
            as a picture or a picture as depth.

        """
        ...


def make_image_transform(device: torch.device) -> ImageTransform:
    """
    Return the fastest transform that this machine can run.

    Parameters
    ----------
    device : torch.device
        ``cpu`` or ``cuda``, where pictures and tensors live.

    Returns
    -------
    ImageTransform
        The fused CuPy kernel on ``cuda``, the torch version elsewhere.  On ``cuda`` without
        CuPy also the torch version, several launches per picture, with a warning in the log.

    """
    from gpu_runtime.transforms.torch_transform import TorchTransform

    if device.type != 'cuda':
        return TorchTransform(device)
    try:
        from gpu_runtime.transforms.cupy_transform import CupyTransform

        return CupyTransform(device)
    except ImportError as error:
        _logger.warning(
            'the fused image kernel is not available on %s (%s); pictures are prepared by '
            'torch, which is slower: install cupy-cuda13x or the build for your CUDA version',
            device,
            error,
        )
        return TorchTransform(device)
