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
Picture = tuple[torch.Tensor, ImageFormat]


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


def cases(encoding: str, antialias: bool) -> Iterator[tuple[Picture, TensorSpec]]:
    """Yield pictures, and specs for them, at all geometries."""
    kinds = list(product(channel_choices(encoding), Layout, DTYPES))
    for number, (sizes, fit) in enumerate(product(KERNEL_SIZES, Fit)):
        picture = noise_of(encoding, *sizes[0], padding=(0, 5, 4)[number % 3])
        # All combinations at two geometries, and one after the other at the rest.
        for kind in kinds if number in (0, 10) else [kinds[number % len(kinds)]]:
            yield picture, spec_of(*kind, sizes[1], fit, antialias=antialias)


def cases_of_blocks(encoding: str) -> Iterator[tuple[Picture, TensorSpec]]:
    """Yield those in which several threads share a strip, or a picture begins anywhere."""
    channels = channel_choices(encoding)[0]
    for source_wh, target_wh in (((2600, 6), (9, 4)), ((61, 33), (33, 12)), ((23, 11), (9, 7))):
        for fit in (Fit.LETTERBOX_CENTER, Fit.STRETCH):
            spec = spec_of(channels, Layout.NCHW, torch.float32, target_wh, fit)
            yield noise_of(encoding, *source_wh, padding=3), spec


def specialisations() -> set[tuple[str, ...]]:
    """Return the macro sets of all cases."""
    return {
        compile_options(picture[1], spec)
        for encoding in ENCODINGS
        for picture, spec in (
            *cases(encoding, True),
            *cases(encoding, False),
            *cases_of_blocks(encoding),
        )
    }


def test_the_kernel_compiles_without_a_gpu() -> None:
    nvrtc = pytest.importorskip('cupy', reason='cupy is not installed').cuda.nvrtc
    met: set[str] = set()
    for options in sorted(specialisations()):
        if met.issuperset(options):
            continue
        met.update(options)
        program = nvrtc.createProgram(transform_kernel.SOURCE, 'image_transform.cu', [], [])
        nvrtc.compileProgram(program, ['--gpu-architecture=compute_75', '--std=c++17', *options])
        assert b'.visible .entry' in nvrtc.getPTX(program)


def test_the_parameter_block_has_the_layout_of_the_c_struct() -> None:
    offsets = {
        name: field[1] for name, field in (transform_kernel.PARAMETERS.fields or {}).items()
    }
    assert transform_kernel.PARAMETERS.itemsize == 104
    assert (offsets['nbytes'], offsets['step']) == (0, 8)
    assert offsets['ratio_x'] == 8 + 9 * 4
    assert offsets['pad'] == offsets['ratio_x'] + 7 * 4 + 6 * 4


@pytest.mark.parametrize('columns', [1, 2, 63, 320, 321, 640, 1280, 4097])
def test_blocks_cover_a_tensor_and_little_more(columns: int) -> None:
    (rows, strips), (threads, one) = transform_kernel.grid_and_block(columns, 7)
    assert (rows, one) == (7, 1)
    assert threads <= transform_kernel.MOST_THREADS
    covered = strips * threads * transform_kernel.PIXELS
    assert columns <= covered < columns + strips * transform_kernel.PIXELS


# What CUDA C++ has and C++ has not.  The threads of a block are threads here too.
HOST_PROLOGUE = r"""
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>
#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__ __restrict
using std::max;
using std::min;
struct Index { unsigned x, y; };
static thread_local Index threadIdx, blockIdx, blockDim;
static std::barrier<> *block_barrier;
static void __syncthreads() { block_barrier->arrive_and_wait(); }
// A device's shared memory holds anything, NaN for one.
static void spoil(void *shared, size_t nbytes) {
    if (threadIdx.x == 0) memset(shared, 0xFF, nbytes);
    __syncthreads();
}
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
static unsigned __dp2a_lo(unsigned x, unsigned y, unsigned sum) {
    return sum + (x & 0xFFFF) * (y & 0xFF) + (x >> 16) * (y >> 8 & 0xFF);
}
static unsigned __dp2a_hi(unsigned x, unsigned y, unsigned sum) {
    return __dp2a_lo(x, y >> 16, sum);
}
static float __fdividef(float x, float y) { return x / y; }
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


def for_any_block(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the macros of a kernel that asks how many threads a block has."""
    known = tuple(option for option in options if not option.startswith('-DTHREADS='))
    return (*known, '-DTHREADS=(int)blockDim.x')


def host_source(specialisations: list[tuple[str, ...]]) -> str:
    """Return one C++ file with a function for each set of macros, named by its place."""
    text, shared = HOST_PROLOGUE, '    __shared__ Quad quads[PLANES * QUADS];\n'
    assert shared in transform_kernel.SOURCE
    spoilt = f'{shared}    spoil(line, sizeof line);\n    spoil(quads, sizeof quads);\n'
    for number, options in enumerate(specialisations):
        pairs = [option.removeprefix('-D').partition('=') for option in options]
        macros = ''.join(f'#undef {name}\n#define {name} {value}\n' for name, _, value in pairs)
        text += HOST_SPECIALISATION.format(
            name=f'variant_{number}',
            macros=f'{macros}#undef image_transform',
            source=transform_kernel.SOURCE.replace(shared, spoilt),
        )
    return text


@pytest.fixture(scope='module')
def run_on_host(tmp_path_factory: pytest.TempPathFactory) -> HostKernel:
    """Run the CUDA source, compiled as C++, over one picture."""
    compiler = shutil.which('g++')
    if compiler is None:
        pytest.skip('no g++ to compile the kernel for the host')
    variants = sorted({for_any_block(options) for options in specialisations()})
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
        number = variants.index(for_any_block(compile_options(format, spec)))
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
    for picture, spec in cases(encoding, antialias):
        expected, got = oracle(*picture, spec).tensor, run_on_host(*picture, spec)
        torch.testing.assert_close(got, expected, rtol=0, atol=tolerance(spec))


@pytest.mark.parametrize('encoding', ['rgb8', 'nv12', 'yuv422', 'bayer_gbrg8', '16UC1'])
def test_the_threads_of_a_block_work_together(run_on_host: HostKernel, encoding: str) -> None:
    oracle = TorchTransform(CPU, exact=True)
    for picture, spec in cases_of_blocks(encoding):
        got, expected = run_on_host(*picture, spec, threads=4), oracle(*picture, spec).tensor
        torch.testing.assert_close(got, expected, rtol=0, atol=tolerance(spec))


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
