# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
A YAML file that lists components, read as the load requests that launch would send.

::

    components:
      - plugin: gpu_perception::ObjectDetector
        name: object_detector            # optional, as all below
        namespace: /front
        remappings: {input_image: /camera/image_raw}
        parameters: {confidence_threshold: 0.6}
        extra_arguments: {enable_rosout: false}
        log_level: info
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from composition_interfaces.srv import LoadNode
from rclpy.logging import get_logging_severity_from_string
from rclpy.parameter import Parameter
import yaml

from gpu_runtime.errors import ParameterError

KEYS = frozenset(
    ('package', 'plugin', 'name', 'namespace', 'remappings', 'parameters', 'extra_arguments')
) | {'log_level'}


def read_pipeline(path: str) -> list[LoadNode.Request]:
    """
    Read a pipeline file.

    Parameters
    ----------
    path : str
        File to read.

    Returns
    -------
    list of composition_interfaces.srv.LoadNode.Request
        In the order of the file.

    Raises
    ------
    ParameterError
        If the file is missing, not YAML, or has an unknown or mistyped key.

    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f'pipeline file {path} cannot be read: {error}') from error
    if not isinstance(content, Mapping) or set(content) != {'components'}:
        raise ParameterError(f'pipeline file {path}: expected one key, components')
    entries = content['components']
    if not isinstance(entries, list):
        raise ParameterError(f'pipeline file {path}: components must be a list')
    return [_request(f'{path}: component {i}', entry) for i, entry in enumerate(entries, 1)]


def _request(where: str, entry: Any) -> LoadNode.Request:
    if not isinstance(entry, Mapping) or 'plugin' not in entry:
        raise ParameterError(f'{where}: expected a mapping with the key plugin')
    if unknown := set(entry) - KEYS:
        raise ParameterError(
            f'{where}: unknown key {sorted(unknown)}; expected {", ".join(sorted(KEYS))}'
        )
    plugin = _text(where, entry, 'plugin')
    request = LoadNode.Request(
        package_name=_text(where, entry, 'package') or plugin.partition('::')[0],
        plugin_name=plugin,
        node_name=_text(where, entry, 'name'),
        node_namespace=_text(where, entry, 'namespace'),
    )
    if 'log_level' in entry:
        request.log_level = _severity(where, _text(where, entry, 'log_level'))
    rules = _mapping(where, entry, 'remappings')
    request.remap_rules = [f'{name}:={_text(where, rules, name)}' for name in rules]
    request.parameters = _parameters(where, _mapping(where, entry, 'parameters'))
    request.extra_arguments = _parameters(where, _mapping(where, entry, 'extra_arguments'))
    return request


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, '')
    if not isinstance(value, str):
        raise ParameterError(f'{where}: {key} is {value!r}; expected text')
    return value


def _mapping(where: str, entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = entry.get(key) or {}
    if not isinstance(value, Mapping):
        raise ParameterError(f'{where}: {key} is {value!r}; expected a mapping')
    return value


def _severity(where: str, level: str) -> int:
    try:
        return int(get_logging_severity_from_string(level))
    except RuntimeError as error:
        raise ParameterError(
            f'{where}: log_level {level!r}; expected debug, info, warn, error or fatal'
        ) from error


def _parameters(where: str, values: Mapping[str, Any], prefix: str = '') -> list[Any]:
    """Return parameter messages; nested mappings become dotted names."""
    messages = []
    for key, value in values.items():
        name = f'{prefix}{key}'
        if isinstance(value, Mapping):
            messages += _parameters(where, value, f'{name}.')
            continue
        try:
            messages.append(Parameter(name, value=value).to_parameter_msg())
        except (TypeError, AssertionError, ValueError) as error:
            raise ParameterError(f'{where}: {name} has no ROS type: {value!r}') from error
    return messages
