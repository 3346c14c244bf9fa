# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
Writes what the component classes declare into ``docs/components.md`` and ``params/default.yaml``.

::

    .venv/bin/python docs/generate.py

In ``components.md`` it replaces what stands between ``<!-- begin NAME -->`` and ``<!-- end -->``;
the parameter file it writes as a whole.  A test compares both with the classes.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any
from typing import get_type_hints

from gpu_components.component import Component
from gpu_components.component_parameters import ComponentParameters
from gpu_components.container_parameters import ContainerParameters
from gpu_components.parameters import infos
from gpu_components.parameters import ParameterInfo
from gpu_components.parameters import Parameters
from gpu_components.parameters import StringList
from gpu_components.plugins import load_plugin
from gpu_components.plugins import plugin_names
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
from gpu_runtime.image_ops import OPERATIONS
from gpu_runtime.image_ops.parse import describe

PROJECT = Path(__file__).resolve().parent.parent
COMPONENTS = PROJECT / 'docs' / 'components.md'
DEFAULTS = PROJECT / 'params' / 'default.yaml'
BLOCK = re.compile(r'(<!-- begin (.+?) -->\n).*?(<!-- end -->)', re.DOTALL)
HEAD = """\
# Every parameter of the container and its components with its default, by docs/generate.py.
#
# Sections are found by node name: /**/NAME is NAME in any namespace. A component gets its section
# when it is loaded with the extra argument forward_global_arguments, as gpu_perception.launch.py
# does. Copy what you change into a file of your own and name that in params_file.
"""


def component_classes() -> dict[str, type[Component[Any, Any]]]:
    """Return this package's component classes by plugin string."""
    names = [name for name in plugin_names() if name.startswith('gpu_perception::')]
    return {name: load_plugin('gpu_perception', name) for name in names}


def declared(
    cls: type[Parameters], without: type[Parameters] | None = None
) -> Iterator[tuple[str, str, Any, ParameterInfo]]:
    """Yield name, type, default and declaration of each parameter that ``without`` lacks."""
    hints = get_type_hints(cls)
    known = infos(without) if without else {}
    for name, info in infos(cls).items():
        if name not in known:
            yield name, _type(hints[name]), getattr(cls(), name), info


def _type(hint: Any) -> str:
    names = {
        bool: 'bool',
        int: 'int',
        float: 'float',
        str: 'string',
        StringList: 'list of strings',
    }
    return names.get(hint, 'string or list of strings')


def _when(info: ParameterInfo) -> str:
    if info.read_only:
        return 'at load'
    return 'prepared aside, then swapped' if info.prepares else 'next frame'


def _text(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _row(*cells: str) -> str:
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |\n'


def _parameter_table(rows: Iterator[tuple[str, str, Any, ParameterInfo]]) -> str:
    table = _row('parameter', 'type', 'default', 'range', 'takes effect', 'meaning')
    table += _row(*['---'] * 6)
    for name, kind, default, info in rows:
        meaning = info.description + (f' [{info.unit}]' if info.unit else '')
        table += _row(
            f'`{name}`',
            kind,
            f'`{_text(default)}`',
            info.constraint() or '-',
            _when(info),
            meaning,
        )
    return table


def _topic_table(cls: type[Component[Any, Any]]) -> str:
    table = _row('topic', '', 'type', 'notes') + _row(*['---'] * 4)
    for topic in cls.inputs:
        table += _row(f'`{topic}`', 'in', '`sensor_msgs/msg/Image`', 'QoS by `input_*`')
    for output in cls.outputs:
        kind = f'{output.msg_type.__module__.partition(".")[0]}/msg/{output.msg_type.__name__}'
        notes = [
            'reliable, keep last 10',
            *(['latched'] if output.latched else []),
            *(['by reference inside the container'] if output.bus else []),
        ]
        table += _row(f'`{output.topic}`', 'out', f'`{kind}`', ', '.join(notes))
    return table


def _component_block(cls: type[Component[Any, Any]]) -> str:
    without = SourceParameters if issubclass(cls, Source) else ComponentParameters
    rows = _parameter_table(declared(cls.parameters, without))
    return f'{_topic_table(cls)}\n{rows}'


def blocks() -> dict[str, Callable[[], str]]:
    """Return what makes each block of ``components.md``, by the name of the block."""
    return {
        'container': lambda: _parameter_table(declared(ContainerParameters)),
        'operations': _operations,
        'every component': lambda: _parameter_table(declared(ComponentParameters)),
        'every source': lambda: _parameter_table(declared(SourceParameters, ComponentParameters)),
        **{
            plugin: lambda cls=cls: _component_block(cls)  # type: ignore[misc]
            for plugin, cls in component_classes().items()
        },
    }


def _operations() -> str:
    return ''.join(f'* `{describe(operation)}`\n' for operation in OPERATIONS.values())


def components_page(page: str) -> str:
    """
    Return the page with all its blocks written anew.

    Parameters
    ----------
    page : str
        Text with one pair of marks per block.

    Returns
    -------
    str
        The same text around the blocks.

    Raises
    ------
    ValueError
        If a block has no marks, or marks have no block.

    """
    make = blocks()
    marked = [match[2] for match in BLOCK.finditer(page)]
    if sorted(marked) != sorted(make):
        raise ValueError(f'components.md has the blocks {sorted(marked)}; expected {sorted(make)}')
    return BLOCK.sub(lambda match: f'{match[1]}{make[match[2]]()}{match[3]}', page)


def default_parameters() -> str:
    """Return the text of the parameter file."""
    text = HEAD + _section('gpu_container', ContainerParameters)
    for cls in component_classes().values():
        text += _section(cls.default_name(), cls.parameters)
    return text


def _section(node: str, cls: type[Parameters]) -> str:
    text = f'\n/**/{node}:\n  ros__parameters:\n'
    for name, _, default, info in declared(cls):
        notes = [
            info.description,
            *([f'Unit: {info.unit}.'] if info.unit else []),
            *([f'Legal: {info.constraint()}.'] if info.constraint() else []),
            *(['Fixed at load.'] if info.read_only else []),
        ]
        # rcl gives an empty list of a parameter file no type and no value: it cannot be read back.
        unset = '# ' if default == () else ''
        text += f'    # {" ".join(notes)}\n    {unset}{name}: {_text(default)}\n'
    return text


if __name__ == '__main__':
    COMPONENTS.write_text(components_page(COMPONENTS.read_text('utf-8')), 'utf-8')
    DEFAULTS.write_text(default_parameters(), 'utf-8')
