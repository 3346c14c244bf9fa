# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter classes refuse what they do not declare, in words that help."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import FrozenInstanceError
from typing import Any
from typing import Literal

import pytest

from gpu_components.component_parameters import ComponentParameters
from gpu_components.parameters import from_values
from gpu_components.parameters import infos
from gpu_components.parameters import parameter
from gpu_components.parameters import ParameterInfo
from gpu_components.parameters import Parameters
from gpu_components.parameters import ros_type
from gpu_components.parameters import StringList
from gpu_components.sources.photo_camera import PhotoCameraParameters
from gpu_runtime.errors import ParameterError


@dataclass(frozen=True)
class Sample(Parameters):
    """One parameter of every kind."""

    flag: bool = parameter(True, 'A switch.')
    count: int = parameter(3, 'A number.', ge=1, le=5)
    ratio: float = parameter(0.5, 'A part.', unit='px', ge=0.0)
    mode: Literal['a', 'b'] = parameter('a', 'A choice.', choices=('a', 'b'))
    names: StringList = parameter((), 'A list.')
    labels: str | StringList = parameter('auto', 'A text or a list.')


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({}, Sample()),
        ({'flag': False, 'count': 5}, Sample(flag=False, count=5)),
        ({'ratio': 1e9}, Sample(ratio=1e9)),
        ({'mode': 'b'}, Sample(mode='b')),
        ({'names': ['x', 'y']}, Sample(names=('x', 'y'))),
        ({'names': []}, Sample()),
        ({'labels': 'coco80'}, Sample(labels='coco80')),
        ({'labels': ['dog']}, Sample(labels=('dog',))),
    ],
)
def test_ros_values_become_an_instance(values: dict[str, Any], expected: Sample) -> None:
    """Lists become tuples; what is not given has its default."""
    made = from_values(Sample, values)
    assert made == expected
    assert hash(made) == hash(expected)


@pytest.mark.parametrize(
    ('name', 'value', 'told'),
    [
        ('flag', 1, 'flag is 1; expected bool'),
        ('count', True, 'count is True; expected int'),
        ('count', 2.0, 'count is 2.0; expected int'),
        ('count', 0, 'count is 0; expected 1 to 5'),
        ('count', 6, 'count is 6; expected 1 to 5'),
        ('ratio', 1, 'ratio is 1; expected float'),
        ('ratio', -0.1, 'ratio is -0.1; expected at least 0.0 px'),
        ('ratio', float('nan'), 'ratio is nan; expected at least 0.0 px'),
        ('mode', 'c', "mode is 'c'; expected one of a, b"),
        ('names', 'x', "names is 'x'; expected a list of strings"),
        ('names', ['x', 1], 'names is .*; expected a list of strings'),
        ('names', 5, 'names is 5; expected a list of strings'),
        ('labels', [1, 2], 'labels is .*; expected a list of strings'),
        ('labels', True, 'labels is True; expected a list of strings'),
        ('names', None, 'names'),
        ('count', None, 'count'),
    ],
)
def test_illegal_values_are_refused_by_name(name: str, value: Any, told: str) -> None:
    """With what was got and what was expected."""
    with pytest.raises(ParameterError, match=told):
        from_values(Sample, {name: value})


def test_defaults_are_checked_too() -> None:
    """A class cannot be made with an illegal value, whoever makes it."""
    with pytest.raises(ParameterError, match='count is 9'):
        Sample(count=9)


def test_an_instance_does_not_change() -> None:
    """Threads may read it without a lock."""
    with pytest.raises(FrozenInstanceError):
        Sample().count = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ('info', 'words'),
    [
        (ParameterInfo(''), ''),
        (ParameterInfo('', ge=1, le=5, unit='px'), '1 to 5 px'),
        (ParameterInfo('', ge=1), 'at least 1'),
        (ParameterInfo('', le=2.5, unit='s'), 'at most 2.5 s'),
        (ParameterInfo('', ge=0, le=0), '0 to 0'),
        (ParameterInfo('', choices=('x', 'y')), 'one of x, y'),
    ],
)
def test_constraints_in_words(info: ParameterInfo, words: str) -> None:
    """Empty if every value is legal."""
    assert info.constraint() == words


def test_common_parameters_come_first() -> None:
    """In order of declaration."""
    names = list(infos(PhotoCameraParameters))
    common = list(infos(ComponentParameters))
    assert names[: len(common)] == common
    assert names[-1] == 'pictures_per_photo'


@pytest.mark.parametrize(
    ('hint', 'kind'),
    [(bool, bool), (int, int), (float, float), (str, str), (Literal['a'], str)],
)
def test_scalar_types(hint: Any, kind: type) -> None:
    """As ROS has them."""
    assert ros_type(hint) is kind


def test_lists_have_no_ros_type() -> None:
    """An empty one could be of any."""
    assert ros_type(StringList) is None
    assert ros_type(str | StringList) is None
