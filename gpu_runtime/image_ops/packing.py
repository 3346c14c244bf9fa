# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Float planes to the bytes of a picture: rounded, saturated, interleaved in one launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.transforms.cupy_kernel import kernel_if_cupy

if TYPE_CHECKING:
    from gpu_runtime.encoding import Encoding

_THREADS = 256
SOURCE = r"""
// CHANNELS of a pixel, of which PLANES are given; the rest is opaque alpha.
extern "C" __global__ void pack(
    const float *__restrict__ planes, unsigned char *__restrict__ pixels, const long long count,
    const int first, const int second, const int third) {
    const int places[3] = {first, second, third};
    const long long pixel = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (pixel >= count) return;
    if (CHANNELS > 3) pixels[pixel * CHANNELS + 3] = 255;
    for (int k = 0; k < PLANES; ++k) {
        const float value = fminf(fmaxf(rintf(planes[k * count + pixel]), 0.0f), 255.0f);
        pixels[pixel * CHANNELS + places[k]] = (unsigned char)value;
    }
}
"""


def packed(planes: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """
    Write planes as pixels.

    Parameters
    ----------
    planes : torch.Tensor
        float32 (1 or 3, H, W) in one piece, 0 to 255; beyond is saturated.
    encoding : Encoding
        Of bytes, colour or grey.

    Returns
    -------
    torch.Tensor
        uint8 (H, W, channels), new memory; on the current stream, does not block.

    """
    count, height, width = planes.shape
    shape = (height, width, encoding.channels)
    pixels = torch.empty(shape, dtype=torch.uint8, device=planes.device)
    kernel = None
    if planes.is_cuda:
        options = (f'-DCHANNELS={encoding.channels}', f'-DPLANES={count}')
        kernel = kernel_if_cupy(SOURCE, 'pack', planes.device, options)
    if kernel is not None:
        number = height * width
        places = (np.int32(place) for place in encoding.order)
        arguments = (planes.data_ptr(), pixels.data_ptr(), number, *places)
        kernel.launch((-(-number // _THREADS),), (_THREADS,), arguments)
        return pixels
    rounded = planes.round().clamp(0, 255)
    for plane, place in zip(rounded, encoding.order, strict=False):
        pixels[:, :, place] = plane
    pixels[:, :, 3:] = 255
    return pixels
