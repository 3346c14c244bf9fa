# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the pictures of a camera have in common: read and checked once, not for each of them."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_components.cdr import parse_image_header
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_format import ImageFormat


@dataclass(frozen=True)
class ImageKind:
    """
    All of a serialized sensor_msgs/Image but stamp and pixels.

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
    lasting : tuple
        Places in the message and what they hold: all but stamp, padding (which is whatever the
        sender's memory held) and pixels.

    """

    frame_id: str
    format: ImageFormat
    data_offset: int
    nbytes: int
    lasting: tuple[tuple[slice, bytes], ...]

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
            tuple((place, bytes(message[place])) for place in image.lasting),
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
            True if all checks hold for it as well.

        """
        return len(message) == self.nbytes and all(
            message[place] == held for place, held in self.lasting
        )
