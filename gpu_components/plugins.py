# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Component classes by their plugin string.

Any installed Python package adds its own with entry points of the group ``rclpy_components``,
named ``package::Class``.  Nothing else is importable over the network unless the operator
allows it: loading code by name is code execution.
"""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import entry_points
from typing import Any

from gpu_components.component import Component
from gpu_runtime.errors import WiringError

GROUP = 'rclpy_components'


def plugin_names() -> list[str]:
    """Return all installed plugin strings, sorted."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def load_plugin(
    package: str, plugin: str, *, allow_module_plugins: bool = False
) -> type[Component[Any, Any]]:
    """
    Return the component class that a load request names.

    Parameters
    ----------
    package : str
        ROS package of the request; the part of the plugin string before ``::``.
    plugin : str
        ``package::Class``; or ``module:Class`` where the operator allows it.
    allow_module_plugins : bool
        The container's parameter of that name.

    Returns
    -------
    type
        A subclass of :class:`~gpu_components.component.Component`.

    Raises
    ------
    WiringError
        If there is no such plugin, or it is not a component.

    """
    found = [entry for entry in entry_points(group=GROUP) if entry.name == plugin]
    if found and package not in ('', plugin.partition('::')[0]):
        raise WiringError(
            f'plugin {plugin!r} belongs to package {plugin.partition("::")[0]!r}, not {package!r}'
        )
    if not found and '::' not in plugin and ':' in plugin:
        return _from_module(plugin, allow_module_plugins)
    if not found:
        raise WiringError(_unknown(plugin))
    return _component(plugin, _imported(plugin, found[0].load))


def _unknown(plugin: str) -> str:
    names = plugin_names()
    close = difflib.get_close_matches(plugin, names, 1)
    hint = f'did you mean {close[0]!r}? ' if close else ''
    return (
        f'plugin {plugin!r} is not installed; {hint}installed are {", ".join(names)}; a package '
        f'adds its own through entry points of the group {GROUP!r}'
    )


def _from_module(plugin: str, allowed: bool) -> type[Component[Any, Any]]:
    if not allowed:
        raise WiringError(
            f'plugin {plugin!r} names a module: start the container with '
            'allow_module_plugins:=true to load code by module name'
        )
    module, _, name = plugin.partition(':')
    return _component(
        plugin, _imported(plugin, lambda: getattr(importlib.import_module(module), name))
    )


def _imported(plugin: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:
        raise WiringError(f'plugin {plugin!r} could not be imported: {error!r}') from error


def _component(plugin: str, cls: Any) -> type[Component[Any, Any]]:
    if not (isinstance(cls, type) and issubclass(cls, Component)):
        raise WiringError(f'plugin {plugin!r} is {cls!r}; expected a subclass of Component')
    return cls
