# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the pictures of a camera have in common: read and checked once, not for each of them."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_components.cdr import parse_image_header
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat

_STAMP = slice(4, 12)  # after the encapsulation


@dataclass(frozen=True)
class ImageKind:
    """
    All of a serialized sensor_msgs/Image but its stamp and its pixels.

    Parameters
    ----------
    frame_id : str
        Coordinate frame of the source.
    format : ImageFormat
        How to read the pixels.
    data_offset : int
        Index of the first pixel in the message.
    nbytes : int
        Length of the message.
    before_stamp : bytes
        The first bytes of the message.
    after_stamp : bytes
        Those between stamp and pixels.

    """

    frame_id: str
    format: ImageFormat
    data_offset: int
    nbytes: int
    before_stamp: bytes
    after_stamp: bytes

    @classmethod
    def of(cls, message: bytes | memoryview) -> ImageKind:
        """
        Read a message.

        Parameters
        ----------
        message : bytes or memoryview
            CDR of a sensor_msgs/Image.

        Returns
        -------
        ImageKind
            Checked against the message.

        Raises
        ------
        CdrError
            If the message is cut short or corrupt.
        SpecMismatchError
            If such pixels cannot be used, or are fewer than the size asks for.

        """
        image = parse_image_header(message)
        picture = ImageFormat(image.width, image.height, image.encoding, image.step)
        if image.is_bigendian and ENCODINGS[image.encoding].itemsize > 1:
            raise SpecMismatchError(
                f'image of {image.encoding} is big endian; expected is_bigendian 0 for pixels of '
                'more than one byte: swap the bytes at the publisher'
            )
        picture.require_nbytes(image.data_nbytes)
        return cls(
            image.frame_id,
            picture,
            image.data_offset,
            len(message),
            bytes(message[: _STAMP.start]),
            bytes(message[_STAMP.stop : image.data_offset]),
        )

    def matches(self, message: bytes | memoryview) -> bool:
        """
        Return whether a message is of this kind.

        Parameters
        ----------
        message : bytes or memoryview
            Any.

        Returns
        -------
        bool
            True if it differs in stamp and pixels only, so that all checks hold for it as well.

        """
        return (
            len(message) == self.nbytes
            and message[_STAMP.stop : self.data_offset] == self.after_stamp
            and message[: _STAMP.start] == self.before_stamp
        )
