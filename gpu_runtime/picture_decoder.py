# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
JPEG and PNG pictures to frames: on the GPU where the machine can, else by OpenCV.

Called by one ingress thread per compressed topic; decoding blocks that thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.frame import Frame
from gpu_runtime.image_format import ImageFormat

if TYPE_CHECKING:
    from gpu_runtime.gpu_context import GpuContext
    from gpu_runtime.header import Header
    from gpu_runtime.stage_metrics import StageMetrics

JPEG = b'\xff\xd8\xff'
_LOG = logging.getLogger(__name__)


class PictureDecoder:
    """
    Decodes the pictures of one topic.

    Parameters
    ----------
    context : GpuContext
        Where the frames go.
    name : str
        Who decodes, for reports.

    """

    def __init__(self, context: GpuContext, name: str) -> None:
        self._context = context
        self._stream = context.streams.lease(f'decode {name}')
        self._on_device = context.device.type == 'cuda'

    def frame(
        self, header: Header, data: bytes, *, received_s: float, metrics: StageMetrics
    ) -> Frame:
        """
        Decode a picture.

        Parameters
        ----------
        header : Header
            Of the picture.
        data : bytes
            A JPEG or PNG file.
        received_s : float
            When it entered the process, in seconds of ``time.monotonic``.
        metrics : StageMetrics
            Counts ``transforms``.

        Returns
        -------
        Frame
            rgb8 or bgr8, as the decoder gives it.  Blocks while it decodes.

        Raises
        ------
        SpecMismatchError
            If the data is no picture.

        """
        if self._on_device and data.startswith(JPEG):
            try:
                return self._decode_on_device(header, data, received_s, metrics)
            except RuntimeError as error:
                self._context.notice(error)
                self._on_device = False
                _LOG.warning('JPEG is decoded on the CPU from now on: %s', error)
        import cv2

        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if picture is None:
            raise SpecMismatchError(
                f'compressed image of {len(data)} bytes cannot be decoded; expected JPEG or PNG'
            )
        height, width = picture.shape[:2]
        layout = ImageFormat(width, height, 'bgr8', width * 3)
        return self._context.frame(header, layout, picture, received_s=received_s, metrics=metrics)

    def _decode_on_device(
        self, header: Header, data: bytes, received_s: float, metrics: StageMetrics
    ) -> Frame:
        from torchvision.io import decode_jpeg
        from torchvision.io import ImageReadMode

        host = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        with self._stream:
            pixels = decode_jpeg(host, mode=ImageReadMode.RGB, device=self._context.device)
            _, height, width = pixels.shape
            tensor = pixels.permute(1, 2, 0).contiguous().reshape(-1)
            ready = self._stream.record()
        layout = ImageFormat(width, height, 'rgb8', width * 3)
        return Frame(
            header,
            layout,
            tensor,
            ready,
            self._context.transform,
            received_s=received_s,
            metrics=metrics,
        )

    def close(self) -> None:
        """Give the stream back."""
        self._context.streams.release(self._stream)
