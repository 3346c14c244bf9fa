# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The source of the CUDA transform, compiled and run without a device, against torch."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from functools import cache
import shutil
import subprocess

from image_transform_bench import as_bytes
from image_transform_bench import CPU
from image_transform_bench import random_picture
import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_format import PREPARED
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import transform_kernel
from gpu_runtime.transforms.cupy_transform import compile_options
from gpu_runtime.transforms.cupy_transform import kernel_parameters
from gpu_runtime.transforms.image_data import averages
from gpu_runtime.transforms.torch_transform import TorchTransform

# Source and tensor sizes: the same, grown, ratios 1.3 and 4.6, one axis grown, extreme ones.
KERNEL_SIZES = [
    ((33, 19), (0, 0)),
    ((37, 23), (64, 48)),
    ((65, 39), (50, 30)),
    ((101, 67), (22, 15)),
    ((37, 23), (20, 51)),
    ((300, 301), (1, 1)),
    ((1, 300), (40, 40)),
    ((2, 2), (1, 3)),
]
HostKernel = Callable[[torch.Tensor, ImageFormat, TensorSpec], torch.Tensor]


def every_specialisation() -> set[tuple[str, ...]]:
    """Return the macro sets of all encodings, channels, layouts and types, averaging or not."""
    found = set()
    for encoding, channels in ((e, c) for e in PREPARED for c in ('rgb', 'bgr', 'mono')):
        count = 1 if channels == 'mono' else 3
        for layout, dtype in ((a, b) for a in Layout for b in (torch.float32, torch.float16)):
            spec = TensorSpec(
                4,
                4,
                channels=channels,
                layout=layout,
                dtype=dtype,
                mean=(0.0,) * count,
                std=(1.0,) * count,
            )
            for average in (False, True):
                found.add(compile_options(ImageFormat(4, 4, encoding, 16), spec, average))
    return found


def test_every_specialisation_of_the_kernel_compiles_without_a_gpu() -> None:
    nvrtc = pytest.importorskip('cupy', reason='cupy is not installed').cuda.nvrtc
    for options in sorted(every_specialisation()):
        program = nvrtc.createProgram(transform_kernel.SOURCE, 'image_transform.cu', [], [])
        nvrtc.compileProgram(program, ['--gpu-architecture=compute_75', '--std=c++17', *options])
        assert b'.visible .entry' in nvrtc.getPTX(program)


def test_the_parameter_block_has_the_layout_of_the_c_struct() -> None:
    offsets = {
        name: field[1] for name, field in (transform_kernel.PARAMETERS.fields or {}).items()
    }
    assert transform_kernel.PARAMETERS.itemsize == 80
    assert offsets['step'] == 0
    assert offsets['ratio_x'] == 8 + 8 * 4
    assert offsets['pad'] == offsets['ratio_x'] + 8 * 4


# What CUDA C++ has and C++ has not, before the kernel; after it, one thread after the other.
HOST_PROLOGUE = r"""
#include <algorithm>
#include <cmath>
#define __global__
#define __device__
#define __restrict__ __restrict
using std::max;
using std::min;
struct Index { int x, y; };
static thread_local Index threadIdx, blockIdx, blockDim;
"""
HOST_EPILOGUE = r"""
extern "C" void run_grid(
    const unsigned char *source, Value *tensor, const Parameters *p, int columns, int rows) {
    blockDim = {columns, rows};
    for (threadIdx.y = 0; threadIdx.y < rows; ++threadIdx.y)
        for (threadIdx.x = 0; threadIdx.x < columns; ++threadIdx.x)
            image_transform(source, tensor, *p);
}
"""


@pytest.fixture(scope='module')
def run_on_host(tmp_path_factory: pytest.TempPathFactory) -> HostKernel:
    """Run the CUDA source, compiled as C++, over one picture."""
    compiler = shutil.which('g++')
    if compiler is None:
        pytest.skip('no g++ to compile the kernel for the host')
    folder = tmp_path_factory.mktemp('kernel')

    @cache
    def library(options: tuple[str, ...]) -> ctypes.CDLL:
        path = folder / f'kernel{abs(hash(options))}'
        source = HOST_PROLOGUE + transform_kernel.SOURCE + HOST_EPILOGUE
        path.with_suffix('.cpp').write_text(source)
        command = [compiler, '-O1', '-shared', '-fPIC', *options, '-o', f'{path}.so']
        subprocess.run([*command, f'{path}.cpp'], check=True)
        return ctypes.CDLL(f'{path}.so')

    def run(data: torch.Tensor, format: ImageFormat, spec: TensorSpec) -> torch.Tensor:
        fitted = AffineMap.fit(spec, format.width, format.height)
        tensor = torch.full(spec.shape(format.width, format.height), torch.nan)
        rows, columns = tensor.shape[2:] if spec.layout is Layout.NCHW else tensor.shape[1:3]
        parameters = kernel_parameters(format, spec, fitted, columns, rows)
        pointers = (data.data_ptr(), tensor.data_ptr(), parameters.ctypes.data)
        library(compile_options(format, spec, averages(spec, fitted))).run_grid(
            *(ctypes.c_void_p(pointer) for pointer in pointers), columns, rows
        )
        return tensor

    return run


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('encoding', PREPARED)
@pytest.mark.parametrize(('channels', 'layout'), [('rgb', Layout.NCHW), ('mono', Layout.NHWC)])
def test_the_source_of_the_kernel_computes_what_torch_does(
    run_on_host: HostKernel, channels: str, layout: Layout, encoding: str, antialias: bool
) -> None:
    oracle = TorchTransform(CPU, exact=True)
    for source_wh, target_wh in KERNEL_SIZES:
        data, format = as_bytes(
            random_picture(*source_wh, ENCODINGS[encoding].channels), encoding, padding=5
        )
        for fit in Fit:
            count = 1 if channels == 'mono' else 3
            spec = TensorSpec(
                *target_wh,
                fit,
                channels,
                layout,
                mean=(0.1, 0.2, 0.3)[:count],
                std=(0.5,) * count,
                multiple=8,
                antialias=antialias,
            )
            expected = oracle(data, format, spec).tensor
            got = run_on_host(data, format, spec)
            torch.testing.assert_close(got, expected, rtol=0, atol=2e-4)
