# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Files are found by path and by package, without importing anything."""

from __future__ import annotations

from pathlib import Path
import sys

import pytest

from gpu_components.resources import resolve_path
from gpu_runtime.errors import ParameterError


@pytest.mark.parametrize(
    'text', ['', 'relative/a.png', '/abs/a.png', 'rtsp://camera/1', 'torchvision/resnet18', '0']
)
def test_other_texts_come_back_unchanged(text: str) -> None:
    """Whether there is such a file is not asked."""
    assert resolve_path(text) == text


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading tilde, and no other."""
    monkeypatch.setenv('HOME', '/home/someone')
    assert resolve_path('~/a~b.png') == '/home/someone/a~b.png'
    assert resolve_path('a/~b.png') == 'a/~b.png'


def test_files_of_a_python_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is looked up, not imported."""
    package = tmp_path / 'pictures_of_a_test'
    package.mkdir()
    (package / '__init__.py').write_text('raise RuntimeError("imported")\n')
    (package / 'a.png').write_bytes(b'')
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_path('package://pictures_of_a_test/a.png') == str(package / 'a.png')
    assert 'pictures_of_a_test' not in sys.modules


def test_files_of_a_ros_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below its share directory."""
    index = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'robot_models').write_text('')
    model = tmp_path / 'share' / 'robot_models' / 'nets' / 'a.onnx'
    model.parent.mkdir(parents=True)
    model.write_bytes(b'')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert resolve_path('package://robot_models/nets/a.onnx') == str(model)
    with pytest.raises(ParameterError, match='robot_models'):
        resolve_path('package://robot_models/nets/b.onnx')


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('package://no_such_package/a.png', "no ROS or Python package 'no_such_package'"),
        ('package://skimage/data/no_such.png', 'not found below .*skimage'),
        ('package://skimage', 'not found below'),
        ('package:///a.png', 'no ROS or Python package'),
        ('package://..bad/a.png', 'no ROS or Python package'),
    ],
)
def test_what_is_not_there_is_told(text: str, told: str) -> None:
    """With the name as given."""
    with pytest.raises(ParameterError, match=told) as caught:
        resolve_path(text)
    assert text in str(caught.value)
