# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What a kernel launch hands to CuPy, and what becomes of its errors, without a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import CudaError
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import transform_kernel
from gpu_runtime.transforms.cupy_kernel import CupyKernel
from gpu_runtime.transforms.cupy_transform import CupyTransform


class CompileException(Exception):
    """As CuPy's."""


class CUDADriverError(RuntimeError):
    """As CuPy's."""

    def __init__(self, status: int) -> None:
        super().__init__(f'status {status}')
        self.status = status


class CUDARuntimeError(CUDADriverError):
    """As CuPy's."""


class Machine:
    """Records what a kernel is launched with, on whatever device and stream are current."""

    def __init__(self) -> None:
        self.device = 0
        self.stream = 0x100
        self.launches: list[SimpleNamespace] = []
        self.wrapped: list[int] = []
        self.error: Exception | None = None
        self.compiled: list[tuple[str, ...]] = []

    def raw_kernel(self, source: str, name: str, options: tuple[str, ...]) -> Any:
        """Stand for ``cupy.RawKernel``; its ``kernel`` is a ``Function``, compiled at first."""
        self.compiled.append(options)
        return SimpleNamespace(kernel=self.function)

    def function(
        self, grid: Any, block: Any, args: Any, shared_mem: int = 0, stream: Any = None
    ) -> None:
        """Stand for ``cupy.cuda.Function.__call__``."""
        if self.error is not None:
            raise self.error
        self.launches.append(
            SimpleNamespace(
                grid=grid,
                block=block,
                args=list(args),
                shared=shared_mem,
                stream=stream.ptr,
                device=self.device,
            )
        )

    def from_external(self, external: Any) -> Any:
        """Stand for ``cupy.cuda.Stream.from_external``."""
        self.wrapped.append(external.address)
        return SimpleNamespace(ptr=external.address)

    @contextmanager
    def on_device(self, index: int) -> Iterator[None]:
        """Stand for ``torch.cuda.device``."""
        before, self.device = self.device, index
        try:
            yield
        finally:
            self.device = before


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put a machine of two devices under torch and CuPy."""
    made = Machine()
    cuda = SimpleNamespace(
        Stream=SimpleNamespace(from_external=made.from_external),
        compiler=SimpleNamespace(CompileException=CompileException),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError),
    )
    cupy = SimpleNamespace(RawKernel=made.raw_kernel, cuda=cuda)
    monkeypatch.setitem(sys.modules, 'cupy', cupy)  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: made.device)
    monkeypatch.setattr(torch.cuda, 'device', made.on_device)
    monkeypatch.setattr(
        torch.cuda, 'current_stream', lambda device: SimpleNamespace(address=made.stream)
    )
    monkeypatch.setattr(
        torch._C, '_cuda_getCurrentRawStream', lambda index: made.stream, raising=False
    )
    return made


def kernel(index: int = 0) -> CupyKernel:
    """Return any kernel for one of the devices."""
    return CupyKernel('source', 'name', torch.device('cuda', index), options=('-DX=1',))


def test_a_launch_hands_everything_on(machine: Machine) -> None:
    """Ints in 64 bits, numpy values as they are."""
    half = np.float32(0.5)
    kernel().launch((3, 2), (64,), (1 << 40, half, 7), shared_nbytes=48)
    (launch,) = machine.launches
    assert (launch.grid, launch.block, launch.shared) == ((3, 2), (64,), 48)
    assert launch.args == [1 << 40, half, 7]
    assert [type(value) for value in launch.args] == [np.int64, np.float32, np.int64]
    assert machine.compiled == [('--std=c++17', '-DX=1')]


def test_a_launch_goes_onto_the_stream_that_is_current_then(machine: Machine) -> None:
    """Each stream is wrapped once, however often it comes."""
    launched = kernel()
    for address in (0x100, 0x200, 0x100, 0x0, 0x200):
        machine.stream = address
        launched.launch((1,), (1,), ())
    assert [launch.stream for launch in machine.launches] == [0x100, 0x200, 0x100, 0x0, 0x200]
    assert machine.wrapped == [0x100, 0x200, 0x0]


def test_a_launch_happens_on_the_kernels_device(machine: Machine) -> None:
    """Whichever is current before and after."""
    kernel(1).launch((1,), (1,), ())
    assert machine.device == 0
    kernel(0).launch((1,), (1,), ())
    assert [launch.device for launch in machine.launches] == [1, 0]


@pytest.mark.parametrize('error', [CUDADriverError, CUDARuntimeError])
@pytest.mark.parametrize(('status', 'sticky'), [(700, True), (1, False)])
def test_a_failed_launch_says_where(
    machine: Machine, error: type[CUDADriverError], status: int, sticky: bool
) -> None:
    """And whether the process can go on."""
    machine.error = error(status)
    with pytest.raises(CudaError, match=rf'name was not .* cuda:1, grid \(3,\).*{status}') as told:
        kernel(1).launch((3,), (32,), ())
    assert told.value.sticky is sticky
    assert machine.device == 0


def test_a_source_that_does_not_compile_is_told(machine: Machine) -> None:
    """With what to check."""
    machine.error = CompileException('line 3')
    with pytest.raises(CudaError, match='name does not compile for cuda:0: line 3; expected'):
        kernel().launch((1,), (1,), ())


@pytest.mark.usefixtures('machine')
def test_the_transform_passes_its_block_as_plain_bytes() -> None:
    """The fields of a struct would be described at every launch, which takes the longest."""
    transform = CupyTransform(torch.device('cuda', 0))
    layout, spec = ImageFormat(4, 3, next(iter(ENCODINGS)), 64), TensorSpec(8, 6)
    block = transform._launch(layout, spec).parameters
    assert block.dtype.names is None
    assert block.shape == (1,)
    values = block.view(transform_kernel.PARAMETERS)[0]
    assert (values['source_w'], values['source_h'], values['step']) == (4, 3, 64)
    assert (values['columns'], values['rows']) == (8, 6)
