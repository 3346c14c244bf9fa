# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a container has loaded, as a pipeline file that ``--load`` reads."""

from __future__ import annotations

from dataclasses import fields
import os
from pathlib import Path
from typing import Any
from typing import TYPE_CHECKING

from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.parameter import Parameter
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from composition_interfaces.srv import LoadNode

    from gpu_components.component_node import ComponentNode


def manifest_entry(request: LoadNode.Request, node: ComponentNode) -> dict[str, Any]:
    """
    Return one component as a pipeline file lists it.

    Parameters
    ----------
    request : composition_interfaces.srv.LoadNode.Request
        What it was loaded with.
    node : ComponentNode
        The component as it is now.

    Returns
    -------
    dict
        With the present values of all parameters that are not at their default.

    """
    now = node.store.current
    values = {f.name: getattr(now, f.name) for f in fields(now)}
    changed = {name: value for name, value in values.items() if value != _default(now, name)}
    entry = {
        'package': request.package_name,
        'plugin': request.plugin_name,
        'name': node.get_name(),
        'namespace': node.get_namespace(),
        'remappings': dict(rule.split(':=', 1) for rule in request.remap_rules),
        'parameters': {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()},
        'extra_arguments': {
            p.name: Parameter.from_parameter_msg(p).value for p in request.extra_arguments
        },
    }
    if request.log_level:
        entry['log_level'] = LoggingSeverity(request.log_level).name.lower()
    return {key: value for key, value in entry.items() if value}


def _default(params: Any, name: str) -> Any:
    return type(params).__dataclass_fields__[name].default


def save_manifest(path: str, entries: Iterable[dict[str, Any]]) -> None:
    """
    Write a pipeline file, all or nothing.

    Parameters
    ----------
    path : str
        The file; replaced if it exists.  Blocks while it is written.
    entries : iterable of dict
        As :func:`manifest_entry` returns them.

    Raises
    ------
    OSError
        If the file cannot be written; an old one is left as it was.

    """
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'{target.name}.{os.getpid()}.tmp')
    partial.write_text(yaml.safe_dump({'components': list(entries)}, sort_keys=False), 'utf-8')
    partial.replace(target)
