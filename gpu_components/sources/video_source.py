# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A video file, a camera device or a network stream, decoded by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpu_components.parameters import parameter
from gpu_components.resources import resolve_path
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
from gpu_components.sources.video import Video
from gpu_runtime.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoSourceParameters(SourceParameters):
    """Parameters of :class:`VideoSource`."""

    video: str = parameter(
        '',
        'Video file (path or package:// name), device (/dev/video0) or stream URL.',
        prepares=True,
    )


class VideoSource(Source[VideoSourceParameters, Video]):
    """Publishes the pictures of a video."""

    parameters = VideoSourceParameters

    def check(self, params: VideoSourceParameters) -> None:
        """
        Refuse a missing file.

        Parameters
        ----------
        params : VideoSourceParameters
            The values to check.

        """
        name = resolve_path(params.video)
        if not name or ('://' not in name and not Path(name).exists()):
            raise SourceError(f'video {params.video!r} does not exist; set it to a file or URL')

    def prepare(self, params: VideoSourceParameters) -> Video:
        """
        Open the video.

        Parameters
        ----------
        params : VideoSourceParameters
            Which video.

        Returns
        -------
        Video
            Closed by the framework.

        """
        return Video(params.video)

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture, uint8 (height, width, 3) in BGR, or None at the end."""
        return self.prepared.read(loop=self.params.loop)
