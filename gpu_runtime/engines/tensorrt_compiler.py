# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backend ``tensorrt``, through Torch-TensorRT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gpu_runtime.engines import tensorrt_library
from gpu_runtime.engines.exporting import export
from gpu_runtime.errors import EngineError

_NAMED = 3
"""Kinds of operations that are named where parts were not compiled."""


class TensorrtCompiler:
    """Torch-TensorRT, also its RTX build: a network becomes engines; see :class:`Compiler`."""

    def problem(self, device: torch.device, precision: str) -> str:
        """
        Tell why it cannot be used here.

        Parameters
        ----------
        device : torch.device
            Where the network runs.
        precision : str
            One of ``PRECISIONS``.

        Returns
        -------
        str
            Empty if it can be used.

        """
        if device.type != 'cuda':
            return f'backend tensorrt needs a CUDA device, got {device}; set backend to auto'
        found = tensorrt_library.installed()
        release = '.'.join(torch.__version__.split('.')[:2])
        name = tensorrt_library.DISTRIBUTIONS[0]
        if not found:
            return (
                f'backend tensorrt needs Torch-TensorRT, which is not installed; install {name} '
                f'{release}.*, or set backend to auto'
            )
        other = [
            f'{name} {found[name]}'
            for name in tensorrt_library.DISTRIBUTIONS
            if name in found and not found[name].startswith(f'{release}.')
        ]
        if other:
            return (
                f'{", ".join(other)} is not for torch {release}; install {name} {release}.*, or '
                'set backend to auto'
            )
        return ''

    def libraries(self) -> Mapping[str, str]:
        """Return the versions that shape an engine."""
        return tensorrt_library.installed()

    def build(
        self,
        module: torch.nn.Module,
        inputs: tuple[torch.Tensor, ...],
        file: Path,
        precision: str,
    ) -> str:
        """
        Compile a network; blocks for seconds to minutes.

        Parameters
        ----------
        module : torch.nn.Module
            From positional tensors to a flat tuple of tensors, its weights in its precision:
            TensorRT follows their types (explicit typing), no switch chooses them.
        inputs : tuple of torch.Tensor
            Of the shape and type it is compiled for.
        file : Path
            To be written.
        precision : str
            Of the module; says whether float32 may be computed as TF32.

        Returns
        -------
        str
            Names what TensorRT left to torch.

        Raises
        ------
        EngineError
            If it could compile nothing.

        """
        library = tensorrt_library.torch_tensorrt()
        program = export(module, inputs)
        with torch.no_grad():
            compiled = library.dynamo.compile(
                program,
                inputs=list(inputs),
                device=inputs[0].device,
                use_explicit_typing=True,
                disable_tf32=precision != 'tf32',
                # A part that cannot be compiled falls back alone.
                require_full_compilation=False,
                # Its default lies in a shared folder under a name that others know.
                timing_cache_path=str(file.with_name('timing_cache.bin')),
            )
            engines, left = count_parts(compiled)
            if not engines:
                raise EngineError(f'TensorRT could compile no part of it; left are {_names(left)}')
            library.save(compiled, str(file), inputs=list(inputs))
        if not left:
            return ''
        return f'{sum(left.values())} operations run in torch ({_names(left)})'

    def load(self, file: Path, device: torch.device) -> Any:
        """
        Load an engine; blocks.

        Parameters
        ----------
        file : Path
            As :meth:`build` wrote it.
        device : torch.device
            Where it was built for.

        Returns
        -------
        callable
            From tensors to a tuple of tensors; its ``close()`` frees the engine.

        """
        return _Program(tensorrt_library.torch_tensorrt().load(str(file)).module())


class _Program:
    """A loaded program whose engines go when it is closed, not when garbage is collected."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __call__(self, *inputs: torch.Tensor) -> Any:
        return self._module(*inputs)

    def close(self) -> None:
        """Drop the engines; traced modules refer to themselves and would keep them."""
        for part in list(self._module.modules()):
            vars(part).clear()


def count_parts(compiled: torch.fx.GraphModule) -> tuple[int, Counter[str]]:
    """
    Count what of a network became engines and what did not.

    Parameters
    ----------
    compiled : torch.fx.GraphModule
        As Torch-TensorRT returns it: engines are children of type ``...TensorRTModule``, the rest
        are children that hold graphs, or nodes of its own.

    Returns
    -------
    tuple of int and Counter of str
        Number of engines; operations left to torch by name.

    """
    engines, left = 0, Counter[str]()
    for node in compiled.graph.nodes:
        child = compiled.get_submodule(str(node.target)) if node.op == 'call_module' else None
        if child is None:
            if node.op == 'call_function' and not _is_plumbing(node.target):
                left[_name(node.target)] += 1
        elif type(child).__name__.endswith('TensorRTModule'):
            engines += 1
        elif isinstance(child, torch.fx.GraphModule):
            inner, rest = count_parts(child)
            engines, left = engines + inner, left + rest
        else:
            left[type(child).__name__] += 1
    return engines, left


def _is_plumbing(target: object) -> bool:
    """Whether a call only takes an element out of a tuple."""
    return getattr(target, '__name__', '') == 'getitem'


def _name(target: object) -> str:
    return str(target).removeprefix('aten.').partition('.')[0]


def _names(left: Counter[str]) -> str:
    names = [name for name, _ in left.most_common(_NAMED)]
    return ', '.join(names) + (', …' if len(left) > _NAMED else '')
