# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""How operations are written, and what is refused, before a picture comes and after."""

from __future__ import annotations

import cv2
from image_ops_bench import Apply
from image_ops_bench import difference
from image_ops_bench import HEIGHT
from image_ops_bench import K
from image_ops_bench import NOISE
from image_ops_bench import P
from image_ops_bench import RGB
from image_ops_bench import WIDTH
import pytest

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.image_ops import OPERATIONS
from gpu_runtime.image_ops import parse_operations
from gpu_runtime.image_ops.parse import describe


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('gausian_blur', r"'gausian_blur' is unknown; .*did you mean gaussian_blur\?"),
        ('gaussian_blur sgima=2', r"argument 'sgima' is unknown; .*did you mean sigma\?"),
        ('rectify alpha=1', r"argument 'alpha' is unknown; expected none"),
        ('gaussian_blur sigma=0', r'sigma is 0.0; expected 0.1 to 50 px'),
        ('gaussian_blur sigma=nan', r'sigma is nan; expected 0.1 to 50 px'),
        ('gaussian_blur sigma=big', r"sigma is 'big'; expected a number"),
        ('resize width=3.5', r"width is '3.5'; expected a whole number"),
        ('resize', 'give width, height or both'),
        ('resize width = 3', r"got 'width'; expected ARGUMENT=VALUE"),
        ('gamma', r'gamma needs value; write gamma value= \(0.05 to 20\)'),
        ('median size=4', r'size is 4; expected one of 3, 5'),
        ('flip axis=sideways', 'axis is sideways; expected one of horizontal, vertical, both'),
        ('convert encoding=yuv422', 'encoding is yuv422; expected one of rgb8'),
        ('model source="a b', r'No closing quotation; close the quotes'),
        ('model source=a.onnx width=3', r'input size 3x0: set both or neither'),
        ('  ', 'an entry is empty; expected one of rectify, resize'),
    ],
)
def test_refused(text: str, words: str) -> None:
    """With what was expected, what was got and what to do."""
    with pytest.raises(ParameterError, match=words):
        parse_operations([text])


@pytest.mark.parametrize(
    ('text', 'camera', 'words'),
    [
        ('crop x=400 width=90', None, 'leaves the picture of 480x380 px'),
        ('crop y=380', None, 'leaves the picture'),
        ('rectify', None, 'got none: publish camera_info'),
        ('rectify', CameraModel(WIDTH, HEIGHT, k=(0.0,) * 9), 'K is zero'),
        ('rectify', CameraModel(WIDTH, HEIGHT, k=K), "distortion model '' is not known"),
        (
            'rectify',
            CameraModel(WIDTH, HEIGHT, 'c', 'plumb_bob', (0.1, 0.2), K, p=P),
            'with the 2 coefficients .*expected 4 or 5',
        ),
    ],
)
def test_picture_refused(apply: Apply, text: str, camera: CameraModel | None, words: str) -> None:
    """What does not fit a picture costs that picture only."""
    with pytest.raises(SpecMismatchError, match=words):
        apply(RGB, text, camera=camera)


def test_small_picture_refused(apply: Apply) -> None:
    """Where mirroring at the border is impossible."""
    tiny = NOISE[:4, :4].copy()
    with pytest.raises(SpecMismatchError, match='set a smaller sigma'):
        apply(tiny, 'gaussian_blur sigma=2')
    with pytest.raises(SpecMismatchError, match='set fewer tiles'):
        apply(tiny, 'clahe tiles_x=9')
    assert difference(apply(tiny, 'median size=5'), cv2.medianBlur(tiny, 5))[0] == 0


def test_every_operation_says_how_it_is_written() -> None:
    """With defaults, units and legal values; the names are those of the parameter."""
    assert describe(OPERATIONS['median']) == 'median size=3 (one of 3, 5)'
    assert len(OPERATIONS) == 14
    for name, cls in OPERATIONS.items():
        assert cls.name == name
        assert describe(cls).startswith(name)


def test_values_with_blanks_are_quoted() -> None:
    """Paths may contain anything."""
    (operation,) = parse_operations(['model source="/a b/c=d.onnx" precision=fp32'])
    assert operation.source == '/a b/c=d.onnx'  # type: ignore[attr-defined]
