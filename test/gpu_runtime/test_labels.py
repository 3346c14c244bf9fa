# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Class numbers and names: each numbering starts where its networks start."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_runtime.detection import LABEL_SETS
from gpu_runtime.detection import LabelMap
from gpu_runtime.detection import load_labels
from gpu_runtime.errors import ParameterError


@pytest.mark.parametrize(
    ('name', 'count', 'known'),
    [
        ('coco80', 80, {0: 'person', 2: 'car', 16: 'dog', 79: 'toothbrush'}),
        ('coco91', 91, {0: '__background__', 1: 'person', 3: 'car', 18: 'dog', 90: 'toothbrush'}),
        ('voc21', 21, {0: '__background__', 3: 'bird', 15: 'person', 20: 'tvmonitor'}),
        ('imagenet1k', 1000, {0: 'tench', 934: 'hotdog', 999: 'toilet tissue'}),
        ('face', 1, {0: 'face'}),
    ],
)
def test_published_sets(name: str, count: int, known: dict[int, str]) -> None:
    assert name in LABEL_SETS
    labels = load_labels(name)
    assert len(labels) == count
    assert {number: labels.name(number) for number in known} == known
    assert all(number in labels.ids([label]) for number, label in known.items())


def test_80_and_91_agree_on_every_name() -> None:
    few, many = load_labels('coco80'), load_labels('coco91')
    assert [many.name(number) for number in many.ids(few.names)] == list(few.names)


def test_number_without_a_name_is_its_own_name() -> None:
    labels = LabelMap(['cat'])
    assert [labels.name(number) for number in (-1, 0, 1)] == ['-1', 'cat', '1']


def test_unknown_class_suggests_the_right_one() -> None:
    with pytest.raises(ParameterError, match='did you mean bicycle'):
        load_labels('coco80').ids(['person', 'bycicle'])
    with pytest.raises(ParameterError, match='expected one of person'):
        load_labels('coco80').ids(['zzzzzz'])


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('a.txt', 'cat\ndog\n\n'),
        ('a.txt', 'cat\r\ndog\r\n'),
        ('a.json', '["cat", "dog"]'),
        ('a.json', '{"1": "dog", "0": "cat"}'),
        ('a.yaml', '- cat\n- dog\n'),
        ('a.yml', '0: cat\n1: dog\n'),
    ],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert load_labels(str(path)).names == ('cat', 'dog')


def test_gaps_in_files_keep_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / 'a.json'
    path.write_text('{"3": "dog"}')
    assert load_labels(str(path)).names == ('0', '1', '2', 'dog')


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('a.txt', b''),
        ('a.txt', b'\xff\xfe\x00'),
        ('a.json', b'{"0": '),
        ('a.json', b'[1, 2]'),
        ('a.json', b'{"x": "cat"}'),
        ('a.json', b'{"99999999999": "cat"}'),
        ('a.yaml', b'a: [b'),
        ('a.yaml', b'!!python/object/apply:os.system ["true"]'),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=r'expected'):
        load_labels(str(path))


def test_unknown_set_missing_file_and_empty_list() -> None:
    with pytest.raises(ParameterError, match='coco80'):
        load_labels('coco')
    with pytest.raises(ParameterError, match='cannot be read'):
        load_labels('/nowhere/labels.txt')
    with pytest.raises(ParameterError, match='no names'):
        load_labels([])


def test_list() -> None:
    assert load_labels(['cat', 'dog']).names == ('cat', 'dog')
