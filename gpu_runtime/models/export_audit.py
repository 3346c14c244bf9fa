# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What is looked at before a torch.export file is loaded.

``torch.export.load`` of torch 2.11 is no safe loader by itself: an archive may ask for a pickle
to be loaded with ``weights_only=False``, name any function below ``torch`` as an operation, hold
expressions that sympy evaluates and guards that are executed.  The files that
``torch.export.save`` writes for perception networks need none of these, so all are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
import io
import json
from pathlib import Path
import re
import zipfile

from gpu_runtime.errors import ModelError

_TARGET = re.compile(
    r'torch\.ops\.(aten|prims|torchvision)\.(?!__|from_file)\w+\.(?!__)\w+'
    r'|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_)'
    r'|math\.\w+'
    r'|torch\.sym_(float|int|ite|max|min|not|sqrt)'
)
_EXPRESSION_WORD = re.compile(
    'Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|FloorDiv|CeilDiv|CleanDiv|PythonMod'
    '|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan'
    '|GreaterThan|And|Or|Not|ToFloat|TruncToInt|positive|integer|nonnegative|precision|True|False'
)
_SYMBOL = re.compile(r"'[suz]\d+'")
_NAME = re.compile(r'[\w.]*')
_NAME_KEYS = frozenset({'name', 'as_name', 'fqn', 'parameter_name', 'buffer_name', 'as_buffer'})
_MEMBER = re.compile(
    r'[^/]+/(archive_format|archive_version|byteorder|version'
    r'|\.data/[\w.]+'
    r'|data/(weights|constants)/((weight|tensor)_\d+|model_(weights|constants)_config\.json)'
    r'|data/sample_inputs/model\.pt'
    r'|models/model\.json)'
)


def audit_export(path: Path) -> None:
    """
    Refuse a torch.export file that could run code when it is loaded.

    An allow-list over everything that torch 2.11 is known to evaluate; it is no sandbox.

    Parameters
    ----------
    path : Path
        A ``.pt2`` file.  Reads its graph, not its weights.

    Raises
    ------
    ModelError
        If the file is no such archive, or holds something that is not on the list.

    """
    try:
        with zipfile.ZipFile(path) as archive:
            reason = next(_objections(archive), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f'{path} is not a readable torch.export archive ({error}); expected a file that '
            'torch.export.save wrote: export it again'
        ) from error
    if reason is not None:
        raise ModelError(
            f'{path} may run code when it is loaded: it holds {reason}; expected plain tensors '
            'and aten operations: export it again with the installed torch, or set '
            'allow_unsafe_models if you trust its author'
        )


def _objections(archive: zipfile.ZipFile) -> Iterator[str]:
    names = archive.namelist()
    yield from (f'the member {name!r}' for name in names if not _MEMBER.fullmatch(name))
    for name in names:
        if name.endswith('_config.json'):
            for entry, payload in json.loads(archive.read(name))['config'].items():
                if payload['use_pickle']:
                    yield f'the pickled tensor {entry!r}'
        elif name.endswith('sample_inputs/model.pt'):
            yield from _pickle_objections(archive.read(name))
    graph_files = [name for name in names if name.endswith('/models/model.json')]
    if len(graph_files) != 1:
        raise ValueError(f'it has {len(graph_files)} files models/model.json')
    program = json.loads(archive.read(graph_files[0]))
    if program['guards_code']:
        yield 'guards in Python source'
    yield from _graph_objections(program)


def _pickle_objections(data: bytes) -> Iterator[str]:
    import torch

    try:
        torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)
    except Exception as error:  # unpickling hostile bytes may raise anything
        yield f'sample inputs that are no plain tensors ({type(error).__name__})'


def _graph_objections(node: object, key: str = '') -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if key in ('tensor_values', 'sym_int_values', 'range_constraints'):
                yield from _string_objections('name', name)
            yield from _graph_objections(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _graph_objections(value, key)
    elif isinstance(node, str):
        yield from _string_objections(key, node)


def _string_objections(key: str, text: str) -> Iterator[str]:
    if key == 'target' and not _TARGET.fullmatch(text):
        yield f'the operation {text!r}'
    elif key == 'expr_str' and not _is_plain_expression(text):
        yield f'the expression {text!r}'
    elif key in _NAME_KEYS and not _NAME.fullmatch(text):
        yield f'the name {text!r}'
    elif key == 'forward_arg_names' and not text.isidentifier():
        yield f'the argument {text!r}'
    elif key in ('in_spec', 'out_spec') and text:
        yield from _spec_objections(json.loads(text))


def _spec_objections(node: object) -> Iterator[str]:
    """Look at a tree spec, whose dictionary keys end up in generated source."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _spec_objections(value)
    elif isinstance(node, str) and re.search(r'[^\w.,:"{}\[\] ]', node):
        yield f'the tree spec {node!r}'


def _is_plain_expression(text: str) -> bool:
    rest = _SYMBOL.sub('', text)
    words = re.findall(r'[^\W\d]\w*', rest)
    return all(_EXPRESSION_WORD.fullmatch(word) for word in words) and not re.search(
        r'[^\w\s(),=.+*/<>-]', rest
    )
