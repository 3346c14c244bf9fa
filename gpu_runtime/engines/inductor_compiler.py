# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The backend ``compile``: torch's own compiler, ahead of time."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
import os
from pathlib import Path
import shutil

import torch

from gpu_runtime.engines.exporting import export


class InductorCompiler:
    """AOTInductor: a network becomes a shared library; see :class:`Compiler`."""

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
        compiler = os.environ.get('CXX', 'g++')
        if shutil.which(compiler) is None:
            return (
                f'backend compile needs a C++ compiler, and {compiler} is not found; install g++ '
                'or name one in CXX, or set backend to auto'
            )
        if device.type == 'cuda' and find_spec('triton') is None:
            return 'backend compile needs triton on CUDA; install it, or set backend to auto'
        if precision == 'tf32':
            return (
                "backend compile cannot do precision tf32: its convolutions read torch's "
                'process-wide switch, which would change other networks; set precision fp16 or '
                'fp32, or backend to auto'
            )
        return ''

    def libraries(self) -> Mapping[str, str]:
        """Return the versions that shape an engine."""
        return {'triton': version('triton')} if find_spec('triton') else {}

    def build(
        self,
        module: torch.nn.Module,
        inputs: tuple[torch.Tensor, ...],
        file: Path,
        precision: str,
    ) -> str:
        """
        Compile a network; blocks for tens of seconds.

        Parameters
        ----------
        module : torch.nn.Module
            From positional tensors to a flat tuple of tensors.
        inputs : tuple of torch.Tensor
            Of the shape and type it is compiled for.
        file : Path
            To be written.
        precision : str
            Of the module.

        Returns
        -------
        str
            Empty: what inductor cannot compile it leaves to torch's own kernels.

        """
        import torch._inductor

        program = export(module, inputs)
        with torch.no_grad():
            written = torch._inductor.aoti_compile_and_package(
                program, package_path=str(file.with_suffix('.pt2'))
            )
        Path(written).rename(file)
        return ''

    def load(
        self, file: Path, device: torch.device
    ) -> Callable[..., tuple[torch.Tensor, ...] | list[torch.Tensor]]:
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
            From tensors to a list of tensors.

        """
        # Not torch._inductor.aoti_load_package, which takes this very loader after importing the
        # compiler: that took 16 s on a busy two-core machine, the loader 16 ms.
        import torch._C._aoti as aoti

        index = device.index if device.type == 'cuda' and device.index is not None else -1
        # Single-threaded, as a model is used by one stage: the other mode queries events, which
        # a CUDA graph cannot record.
        loader = aoti.AOTIModelPackageLoader(str(file), 'model', True, 1, index)

        def run(*tensors: torch.Tensor) -> list[torch.Tensor]:
            return list(loader.boxed_run(list(tensors)))

        return run
