# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, stages and figures that the tests of a context on a real device share."""

from __future__ import annotations

import gc

import numpy as np
import torch

from gpu_runtime.fit import Fit
from gpu_runtime.frame import Frame
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.stream import Stream
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform

DEVICE = torch.device('cuda', 0)
FORMAT = ImageFormat(640, 480, 'rgb8', 1920)
SPEC = TensorSpec(416, 416, Fit.LETTERBOX_CENTER)
HEADER = Header(1, 'camera')
AT_ONCE_S = 0.05
LONG_S = 10.0
MIB = 1 << 20


def picture(seed: int) -> bytes:
    """Return noise of the size of a picture."""
    return np.random.default_rng(seed).bytes(FORMAT.nbytes)


def expected(data: bytes) -> torch.Tensor:
    """Return what the oracle makes of a picture."""
    host = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return TorchTransform(torch.device('cpu'))(host, FORMAT, SPEC).tensor


def reserved() -> int:
    """Return what torch holds of the device, cached memory given back."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(DEVICE)


def run(context: GpuContext, frame: Frame, stage: Stream) -> torch.Tensor:
    """Do what a stage and its egress do with a frame; return the prepared tensor on the host."""
    with stage:
        copied = frame.use(stage).clone()
        prepared = frame.tensor(SPEC, stage)
        download = context.transfers.download((prepared.tensor, copied), stage)
    download.wait()
    result = torch.from_numpy(download.arrays[0].copy())
    download.release()
    return result


def rounds(context: GpuContext, stages: list[Stream], count: int, data: bytes) -> None:
    """Send pictures through stages that share a prepared tensor."""
    for _ in range(count):
        frame = context.frame(HEADER, FORMAT, data)
        for stage in stages:
            run(context, frame, stage)
