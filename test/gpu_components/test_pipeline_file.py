# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline file is read as the requests that launch would send, or refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import parameter_value_to_python

from gpu_components.pipeline_file import read_pipeline
from gpu_runtime.errors import ParameterError

FULL = """
components:
  - plugin: gpu_perception::ObjectDetector
    name: detector
    namespace: /front
    remappings: {input_image: /camera/image_raw, object_detections: found}
    parameters:
      confidence_threshold: 0.6
      max_detections: 5
      class_filter: [dog, cat]
      publish_overlay: false
      qos_overrides: {/front/found: {publisher: {depth: 3}}}
    extra_arguments: {enable_rosout: false}
    log_level: debug
  - plugin: other::Thing
  - plugin: module:Thing
    package: given
"""


def written(tmp_path: Path, text: str) -> str:
    """Write a pipeline file and return its path."""
    path = tmp_path / 'pipeline.yaml'
    path.write_text(text)
    return str(path)


def values(messages: Any) -> dict[str, Any]:
    """Return parameter messages as a mapping."""
    return {m.name: parameter_value_to_python(m.value) for m in messages}


def test_everything_a_file_can_say(tmp_path: Path) -> None:
    """In the order of the file; nested parameters have dotted names."""
    first, second, third = read_pipeline(written(tmp_path, FULL))
    assert first.package_name == 'gpu_perception'
    assert first.plugin_name == 'gpu_perception::ObjectDetector'
    assert (first.node_name, first.node_namespace) == ('detector', '/front')
    assert list(first.remap_rules) == [
        'input_image:=/camera/image_raw',
        'object_detections:=found',
    ]
    assert values(first.parameters) == {
        'confidence_threshold': 0.6,
        'max_detections': 5,
        'class_filter': ['dog', 'cat'],
        'publish_overlay': False,
        'qos_overrides./front/found.publisher.depth': 3,
    }
    assert values(first.extra_arguments) == {'enable_rosout': False}
    assert first.log_level == 10
    assert (second.package_name, second.plugin_name, second.node_name) == (
        'other',
        'other::Thing',
        '',
    )
    assert (list(second.remap_rules), list(second.parameters), second.log_level) == ([], [], 0)
    assert third.package_name == 'given'


def test_no_components_are_legal(tmp_path: Path) -> None:
    """A container may start empty."""
    assert read_pipeline(written(tmp_path, 'components: []')) == []


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('components: [', 'cannot be read'),
        ('', 'expected one key, components'),
        ('- plugin: a::B', 'expected one key, components'),
        ('components: []\nextra: 1', 'expected one key, components'),
        ('components: {plugin: a::B}', 'must be a list'),
        ('components: [a::B]', 'component 1: expected a mapping with the key plugin'),
        ('components: [{plugin: a::B}, {name: x}]', 'component 2: expected .* plugin'),
        ('components: [{plugin: a::B, parameter: {}}]', r"component 1: unknown key \['parameter'"),
        ('components: [{plugin: 5}]', 'plugin is 5; expected text'),
        ('components: [{plugin: a::B, name: 7}]', 'name is 7; expected text'),
        ('components: [{plugin: a::B, remappings: [a, b]}]', 'remappings .* expected a mapping'),
        ('components: [{plugin: a::B, remappings: {a: 5}}]', 'a is 5; expected text'),
        ('components: [{plugin: a::B, remappings: {a: }}]', 'a is None; expected text'),
        ('components: [{plugin: a::B, parameters: [1]}]', 'parameters .* expected a mapping'),
        ('components: [{plugin: a::B, parameters: {x: [1, b]}}]', 'x has no ROS type'),
        ('components: [{plugin: a::B, parameters: {x: 2020-01-01}}]', 'x has no ROS type'),
        ('components: [{plugin: a::B, log_level: loud}]', "log_level 'loud'; expected debug"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    """File, component and key."""
    path = written(tmp_path, text)
    with pytest.raises(ParameterError, match=told) as caught:
        read_pipeline(path)
    assert path in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """By its name; so is one that is no text."""
    with pytest.raises(ParameterError, match=r'missing\.yaml cannot be read'):
        read_pipeline(str(tmp_path / 'missing.yaml'))
    binary = tmp_path / 'binary.yaml'
    binary.write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(ParameterError, match=r'binary\.yaml cannot be read'):
        read_pipeline(str(binary))
