# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The source of the CUDA transform, compiled and run without a device, against torch."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import ctypes
from itertools import product
from pathlib import Path
import shutil
import subprocess

import pytest
import torch
from transform_pictures import channel_choices
from transform_pictures import CPU
from transform_pictures import noise_of

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import transform_kernel
from gpu_runtime.transforms.cupy_transform import compile_options
from gpu_runtime.transforms.cupy_transform import kernel_parameters
from gpu_runtime.transforms.torch_transform import TorchTransform

DTYPES = (torch.float32, torch.float16)
# Source and tensor sizes: the same, grown, ratios 1.3 and 4.6, one axis grown, extreme ones, and
# a strip that needs its source columns in three parts.
KERNEL_SIZES = [
    ((33, 19), (0, 0)),
    ((37, 23), (64, 48)),
    ((65, 39), (50, 30)),
    ((101, 67), (22, 15)),
    ((37, 23), (20, 51)),
    ((300, 301), (1, 1)),
    ((1, 300), (40, 40)),
    ((2, 2), (1, 3)),
    ((2501, 5), (3, 3)),
]
HostKernel = Callable[..., torch.Tensor]


def spec_of(
    channels: str,
    layout: Layout,
    dtype: torch.dtype,
    wh: tuple[int, int] = (4, 4),
    fit: Fit = Fit.STRETCH,
    *,
    antialias: bool = True,
) -> TensorSpec:
    """Return a spec whose means tell the channels apart."""
    count = 3 if channels in ('rgb', 'bgr') else 1
    return TensorSpec(
        *wh,
        fit,
        channels,
        layout,
        dtype,
        mean=(0.1, 0.2, 0.3)[:count],
        std=(0.5,) * count,
        multiple=8,
        antialias=antialias,
    )


def specialisations() -> Iterator[tuple[str, ...]]:
    """Yield the macro sets of all encodings, channels, layouts and types."""
    for encoding in ENCODINGS:
        format = ImageFormat(4, 4, encoding, 16)
        choices = product(channel_choices(encoding), Layout, DTYPES, ((4, 4), (1, 1)))
        for channels, layout, dtype, wh in choices:  # windows of two and of eight rows
            yield compile_options(format, spec_of(channels, layout, dtype, wh))


def test_the_kernel_compiles_without_a_gpu() -> None:
    nvrtc = pytest.importorskip('cupy', reason='cupy is not installed').cuda.nvrtc
    everything = sorted(set(specialisations()))
    # Each macro differs between neighbours: every fifth meets each value of each.
    for options in everything[::5]:
        program = nvrtc.createProgram(transform_kernel.SOURCE, 'image_transform.cu', [], [])
        nvrtc.compileProgram(program, ['--gpu-architecture=compute_75', '--std=c++17', *options])
        assert b'.visible .entry' in nvrtc.getPTX(program)
    assert {o for options in everything[::5] for o in options} == {
        o for options in everything for o in options
    }


def test_the_parameter_block_has_the_layout_of_the_c_struct() -> None:
    offsets = {
        name: field[1] for name, field in (transform_kernel.PARAMETERS.fields or {}).items()
    }
    assert transform_kernel.PARAMETERS.itemsize == 96
    assert (offsets['nbytes'], offsets['step']) == (0, 8)
    assert offsets['ratio_x'] == 8 + 9 * 4
    assert offsets['pad'] == offsets['ratio_x'] + 5 * 4 + 6 * 4


def test_constants_of_the_launch_are_those_of_the_source() -> None:
    assert f'#define PIXELS {transform_kernel.PIXELS} ' in transform_kernel.SOURCE


@pytest.mark.parametrize('columns', [1, 2, 63, 320, 321, 640, 1280, 4097])
def test_blocks_cover_a_tensor_and_little_more(columns: int) -> None:
    (rows, strips), (threads, one) = transform_kernel.grid_and_block(columns, 7)
    assert (rows, one, threads % 32) == (7, 1, 0)
    assert threads <= transform_kernel.MOST_THREADS
    covered = strips * threads * transform_kernel.PIXELS
    assert columns <= covered < columns + strips * 64


# What CUDA C++ has and C++ has not.  The threads of a block are threads here too.
HOST_PROLOGUE = r"""
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <thread>
#include <vector>
#define __global__
#define __device__
#define __shared__ static
#define __restrict__ __restrict
using std::max;
using std::min;
struct Index { unsigned x, y; };
static thread_local Index threadIdx, blockIdx, blockDim;
static std::barrier<> *block_barrier;
static void __syncthreads() { block_barrier->arrive_and_wait(); }
template <typename T> T __ldg(const T *at) { return *at; }
static unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return ((unsigned long long)high << 32 | low) >> shift;
}
static unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const unsigned long long bytes = (unsigned long long)y << 32 | x;
    unsigned found = 0;
    for (int k = 0; k < 4; ++k) found |= (bytes >> 8 * (selector >> 4 * k & 7) & 0xFF) << 8 * k;
    return found;
}
static unsigned __dp4a(unsigned x, unsigned y, unsigned sum) {
    for (int k = 0; k < 32; k += 8) sum += (x >> k & 0xFF) * (y >> k & 0xFF);
    return sum;
}
static unsigned short as_half(float value) {
    _Float16 half = value;
    return __builtin_bit_cast(unsigned short, half);
}
// The one line of PTX is a rounding, of the variables of `cast`.
#define asm(...) bits = as_half(value)
typedef void Block(const void *source, void *tensor, const void *parameters);
static void run_grid(
    Block *block, const void *source, void *tensor, const void *p, int rows, int strips,
    int threads) {
    std::barrier<> barrier(threads);
    block_barrier = &barrier;
    auto run = [=](unsigned thread) {
        threadIdx = {thread, 0};
        blockDim = {(unsigned)threads, 1};
        for (blockIdx.x = 0; blockIdx.x < (unsigned)rows; ++blockIdx.x)
            for (blockIdx.y = 0; blockIdx.y < (unsigned)strips; ++blockIdx.y) {
                block(source, tensor, p);
                block_barrier->arrive_and_wait();
            }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
    run(0);
    for (auto &other : others) other.join();
}
"""
HOST_SPECIALISATION = r"""
namespace {name} {{
{macros}
#define image_transform {name}_kernel
{source}
static void block(const void *source, void *tensor, const void *p) {{
    {name}_kernel((const unsigned char *)source, (Value *)tensor, *(const Parameters *)p);
}}
extern "C" void {name}(
    const void *source, void *tensor, const void *p, int rows, int strips, int threads) {{
    run_grid(block, source, tensor, p, rows, strips, threads);
}}
}}
"""


def host_source(specialisations: list[tuple[str, ...]]) -> str:
    """Return one C++ file with a function for each set of macros, named by its place."""
    text = HOST_PROLOGUE
    for number, options in enumerate(specialisations):
        pairs = [option.removeprefix('-D').partition('=') for option in options]
        macros = ''.join(f'#undef {name}\n#define {name} {value}\n' for name, _, value in pairs)
        text += HOST_SPECIALISATION.format(
            name=f'variant_{number}',
            macros=f'{macros}#undef image_transform',
            source=transform_kernel.SOURCE,
        )
    return text


@pytest.fixture(scope='module')
def run_on_host(tmp_path_factory: pytest.TempPathFactory) -> HostKernel:
    """Run the CUDA source, compiled as C++, over one picture."""
    compiler = shutil.which('g++')
    if compiler is None:
        pytest.skip('no g++ to compile the kernel for the host')
    variants = sorted(set(specialisations()))
    path: Path = tmp_path_factory.mktemp('kernel') / 'kernel.cpp'
    path.write_text(host_source(variants))
    flags = ['-O0', '-w', '-std=c++20', '-shared', '-fPIC', '-pthread']
    subprocess.run([compiler, *flags, '-o', f'{path}.so', str(path)], check=True)
    library = ctypes.CDLL(f'{path}.so')

    def run(
        data: torch.Tensor, format: ImageFormat, spec: TensorSpec, threads: int = 1
    ) -> torch.Tensor:
        fitted = AffineMap.fit(spec, format.width, format.height)
        shape = spec.shape(format.width, format.height)
        tensor = torch.full(shape, torch.nan, dtype=spec.dtype)
        rows, columns = shape[2:] if spec.layout is Layout.NCHW else shape[1:3]
        parameters = kernel_parameters(format, spec, fitted, columns, rows)
        pointers = (data.data_ptr(), tensor.data_ptr(), parameters.ctypes.data)
        number = variants.index(compile_options(format, spec))
        strips = -(-columns // (threads * transform_kernel.PIXELS))
        library[f'variant_{number}'](
            *(ctypes.c_void_p(pointer) for pointer in pointers), rows, strips, threads
        )
        return tensor

    return run


def tolerance(spec: TensorSpec) -> float:
    """Return what rounding may cost in units of the tensor, whose values are within 4."""
    return 2e-3 if spec.dtype is torch.float16 else 2e-4


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('encoding', list(ENCODINGS))
def test_the_source_of_the_kernel_computes_what_torch_does(
    run_on_host: HostKernel, encoding: str, antialias: bool
) -> None:
    oracle = TorchTransform(CPU, exact=True)
    kinds = list(product(channel_choices(encoding), Layout, DTYPES))
    places = list(product(KERNEL_SIZES, Fit))
    for number, (sizes, fit) in enumerate(places):
        data, format = noise_of(encoding, *sizes[0], padding=(0, 5, 4)[number % 3])
        # All combinations at two geometries, and one after the other at the rest.
        for kind in kinds if number in (0, 10) else [kinds[number % len(kinds)]]:
            spec = spec_of(*kind, sizes[1], fit, antialias=antialias)
            expected = oracle(data, format, spec).tensor
            got = run_on_host(data, format, spec)
            torch.testing.assert_close(got, expected, rtol=0, atol=tolerance(spec))


@pytest.mark.parametrize('encoding', ['rgb8', 'nv12', 'yuv422', 'bayer_gbrg8', '16UC1'])
def test_the_threads_of_a_block_work_together(run_on_host: HostKernel, encoding: str) -> None:
    oracle = TorchTransform(CPU, exact=True)
    channels = channel_choices(encoding)[0]
    for source_wh, target_wh in (((2600, 6), (9, 4)), ((61, 33), (33, 12))):
        spec = spec_of(channels, Layout.NCHW, torch.float32, target_wh, Fit.LETTERBOX_CENTER)
        data, format = noise_of(encoding, *source_wh, padding=3)
        torch.testing.assert_close(
            run_on_host(data, format, spec, threads=4),
            oracle(data, format, spec).tensor,
            rtol=0,
            atol=tolerance(spec),
        )


@pytest.mark.parametrize('start', [0, 1, 2, 3])
@pytest.mark.parametrize('encoding', ['mono8', 'rgb8', '32FC1', 'bayer_rggb8'])
def test_a_picture_may_begin_at_any_address(
    run_on_host: HostKernel, encoding: str, start: int
) -> None:
    data, format = noise_of(encoding, 23, 11, padding=2)
    slab = torch.full((data.numel() + 7,), 255, dtype=torch.uint8)
    slab[start : start + data.numel()] = data
    spec = spec_of(channel_choices(encoding)[0], Layout.NCHW, torch.float32, (9, 7))
    got = run_on_host(slab[start:], format, spec)
    expected = TorchTransform(CPU, exact=True)(data, format, spec).tensor
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance(spec))
