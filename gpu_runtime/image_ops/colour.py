# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The operation that chooses how a picture is written."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import ClassVar
from typing import TYPE_CHECKING

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.image_ops.argument import argument
from gpu_runtime.image_ops.operation import Operation
from gpu_runtime.image_ops.picture import OUTPUT_ENCODINGS

if TYPE_CHECKING:
    from gpu_runtime.image_ops.picture import Picture


@dataclass(frozen=True)
class Convert(Operation):
    """
    Choose the encoding; what follows mono8 works on grey.

    Against OpenCV's ``cv2.cvtColor`` on 8-bit pictures: exact, grey at most 1 of 255 off.
    """

    name: ClassVar[str] = 'convert'
    encoding: str = argument('Encoding from here on.', choices=OUTPUT_ENCODINGS)

    def __call__(self, picture: Picture) -> Picture:
        """
        Convert.

        Parameters
        ----------
        picture : Picture
            Grey or colour.

        Returns
        -------
        Picture
            Of the same size; alpha, where there is one, is opaque.

        """
        planes = picture.planes
        if ENCODINGS[self.encoding].channels == 1:
            planes = picture.luma()
        elif planes.shape[0] == 1:
            planes = planes.expand(3, -1, -1)
        return replace(picture, planes=planes, encoding=self.encoding)
