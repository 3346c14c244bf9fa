# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A picture between two operations: float planes, the encoding it will have, its camera."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_ops.packing import packed
from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import LUMA

if TYPE_CHECKING:
    from gpu_runtime.camera_model import CameraModel
    from gpu_runtime.frame import Frame
    from gpu_runtime.stream import Stream

OUTPUT_ENCODINGS = ('rgb8', 'bgr8', 'mono8', 'rgba8', 'bgra8')
"""What a picture can be written as; mono16 leaves as mono8, other encodings leave as rgb8."""


@dataclass(frozen=True)
class Picture:
    """
    A picture that operations work on.

    Parameters
    ----------
    planes : torch.Tensor
        float32 (3, H, W) red, green, blue, or (1, H, W) grey; 0 to 255, not rounded and perhaps
        beyond after an operation.  To be read only: other stages may share it.
    encoding : str
        One of :data:`OUTPUT_ENCODINGS`, that :meth:`pixels` writes.
    camera : CameraModel, optional
        Calibration that holds for these pixels.

    """

    planes: torch.Tensor
    encoding: str
    camera: CameraModel | None = None

    @classmethod
    def of(cls, frame: Frame, stream: Stream, camera: CameraModel | None = None) -> Picture:
        """
        Read a frame.

        Parameters
        ----------
        frame : Frame
            Alpha is not kept: what is written with alpha is opaque.
        stream : Stream
            The calling thread's current stream; does not block.
        camera : CameraModel, optional
            Of the frame; one for another size is scaled if the aspect is the same, else ignored.

        Returns
        -------
        Picture
            Valid for work enqueued while the caller holds the frame.

        Raises
        ------
        SpecMismatchError
            If the frame is a depth map.

        """
        encoding = frame.format.encoding
        if encoding not in OUTPUT_ENCODINGS:
            encoding = 'mono8' if ENCODINGS[encoding].kind is PixelKind.GREY else 'rgb8'
        grey = encoding == 'mono8'
        kind, count = ('mono', 1) if grey else ('rgb', 3)
        spec = TensorSpec(0, 0, channels=kind, scale=1.0, mean=(0.0,) * count, std=(1.0,) * count)
        planes = frame.tensor(spec, stream).tensor[0]
        return cls(planes, encoding, _fitting(camera, frame.format.width, frame.format.height))

    @property
    def width(self) -> int:
        """Columns."""
        return self.planes.shape[2]

    @property
    def height(self) -> int:
        """Rows."""
        return self.planes.shape[1]

    @property
    def format(self) -> ImageFormat:
        """How :meth:`pixels` is to be read."""
        step = self.width * ENCODINGS[self.encoding].channels
        return ImageFormat(self.width, self.height, self.encoding, step)

    def with_planes(self, planes: torch.Tensor) -> Picture:
        """
        Return the picture with other values and the same camera.

        Parameters
        ----------
        planes : torch.Tensor
            As :attr:`planes`.

        Returns
        -------
        Picture
            Same encoding.

        """
        return replace(self, planes=planes)

    def luma(self) -> torch.Tensor:
        """Return the grey picture, float32 (1, H, W), not rounded."""
        if self.planes.shape[0] == 1:
            return self.planes
        red, green, blue = self.planes.unbind(0)
        return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[None]

    def pixels(self) -> torch.Tensor:
        """Return the bytes of :attr:`format`, uint8 (H, W, channels), owned by the caller."""
        return packed(self.planes.contiguous(), ENCODINGS[self.encoding])


def _fitting(camera: CameraModel | None, width: int, height: int) -> CameraModel | None:
    """Return the calibration for a picture of this size; cameras that bin keep the aspect."""
    if camera is None or (camera.width, camera.height) == (width, height):
        return camera
    same_aspect = camera.width > 0 and camera.width * height == camera.height * width
    return camera.scaled(width, height) if same_aspect else None
