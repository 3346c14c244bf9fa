# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels compiled as C++ and run on the host, launched as on a device."""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import functools
from pathlib import Path
import re
import shutil
import subprocess
import tempfile

import numpy as np
import pytest
import torch

# What CUDA C++ has and C++ has not.  A thread of a block runs until it has to wait for others;
# then the next one does, in an order that differs from wait to wait, so that a missing barrier
# shows in the result.
_PROLOGUE = r"""
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>
#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static
struct Index { unsigned x, y; };
static Index threadIdx, blockIdx, blockDim, gridDim;

struct Waiting { int count = 0; long round = 0; };
struct Fiber { ucontext_t context; bool done; Waiting *at; long round; };
static const size_t STACK = 64 * 1024;
static std::vector<Fiber> fibers;
static std::vector<char> stacks;
static ucontext_t scheduler;
static Waiting block_wait, warp_wait[32];
static int running, alive;
static std::function<void()> body;

static void wait_at(Waiting &at, int all) {
    Fiber &self = fibers[running];
    if (++at.count >= all) { at.count = 0; ++at.round; return; }
    self.at = &at;
    self.round = at.round;
    swapcontext(&self.context, &scheduler);
}
static void run_fiber() {
    body();
    fibers[running].done = true;
    --alive;
    if (alive && block_wait.count == alive) { block_wait.count = 0; ++block_wait.round; }
    swapcontext(&fibers[running].context, &scheduler);
}
static void run_block(std::mt19937 &random) {
    const int threads = blockDim.x;
    fibers.resize(threads);
    stacks.resize(threads * STACK);
    std::vector<int> order(threads);
    std::iota(order.begin(), order.end(), 0);
    alive = threads;
    block_wait = {};
    for (auto &one : warp_wait) one = {};
    for (int i = 0; i < threads; ++i) {
        fibers[i] = {};
        getcontext(&fibers[i].context);
        fibers[i].context.uc_stack.ss_sp = stacks.data() + i * STACK;
        fibers[i].context.uc_stack.ss_size = STACK;
        makecontext(&fibers[i].context, run_fiber, 0);
    }
    while (alive) {
        std::shuffle(order.begin(), order.end(), random);
        bool moved = false;
        for (int i : order) {
            Fiber &fiber = fibers[i];
            if (fiber.done || (fiber.at && fiber.at->round == fiber.round)) continue;
            moved = true;
            fiber.at = nullptr;
            running = i;
            threadIdx = {(unsigned)i, 0};
            swapcontext(&scheduler, &fiber.context);
        }
        if (!moved) std::abort();  // all wait for each other
    }
}
static void __syncthreads() { wait_at(block_wait, alive); }
static void __syncwarp() { wait_at(warp_wait[running / 32], 32); }
template <typename Result> static auto of_lanes(int value, Result result) {
    static int posted[1024];
    posted[running] = value;
    __syncwarp();
    const auto found = result(posted + running / 32 * 32);
    __syncwarp();
    return found;
}
static int __shfl_xor_sync(unsigned, int value, int mask) {
    const int lane = running % 32 ^ mask;
    return of_lanes(value, [=](const int *lanes) { return lanes[lane]; });
}
static unsigned __ballot_sync(unsigned, bool vote) {
    return of_lanes(vote, [](const int *lanes) {
        unsigned votes = 0;
        for (int i = 0; i < 32; ++i) votes |= (unsigned)lanes[i] << i;
        return votes;
    });
}
static void atomicOr(unsigned *at, unsigned bits) { *at |= bits; }
static int __popc(unsigned bits) { return __builtin_popcount(bits); }
static int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fsub_rn(float a, float b) { return a - b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __uint_as_float(unsigned bits) { return __builtin_bit_cast(float, bits); }
static unsigned __float_as_uint(float value) { return __builtin_bit_cast(unsigned, value); }
// The two lines of PTX that the kernels have are roundings between these two variables.
static void convert(const char *ptx, unsigned short &bits, float &value) {
    if (std::strstr(ptx, "cvt.f32.f16")) value = __builtin_bit_cast(_Float16, bits);
    else bits = __builtin_bit_cast(unsigned short, (_Float16)value);
}
#define asm(...) convert(#__VA_ARGS__, bits, value)

template <typename... A, size_t... I>
static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*(std::remove_const_t<A> *)arguments[I]...);
}
template <typename... A>
static void run_grid(
    void (*kernel)(A...), int x, int y, int threads, unsigned seed, void **arguments) {
    std::mt19937 random(seed);
    body = [=] { call(kernel, arguments, std::index_sequence_for<A...>{}); };
    gridDim = {(unsigned)x, (unsigned)y};
    blockDim = {(unsigned)threads, 1};
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(random);
}
"""
_LAUNCH = r"""
extern "C" void launch_{name}(int x, int y, int threads, unsigned seed, void **arguments) {{
    run_grid({name}, x, y, threads, seed, arguments);
}}
"""


class HostKernel:
    """Stands in for ``CupyKernel``: the same source and arguments, tensors of the host."""

    launches = 0

    def __init__(
        self, source: str, name: str, device: torch.device, *, options: Sequence[str] = ()
    ) -> None:
        assert device.type == 'cpu'
        self._function = _compiled(source, tuple(options))[f'launch_{name}']

    def launch(
        self, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[object, ...]
    ) -> None:
        """Run all blocks."""
        x, y = (*grid, 1)[:2]
        # As CuPy packs them: an int of Python has 64 bits, what NumPy has is passed as it is.
        values = [np.atleast_1d(np.asarray(argument)) for argument in arguments]
        addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        HostKernel.launches += 1
        self._function(x, y, block[0], HostKernel.launches, addresses)


@functools.cache
def _compiled(source: str, options: tuple[str, ...]) -> ctypes.CDLL:
    compiler = shutil.which('g++')
    if compiler is None:
        pytest.skip('no g++ to compile kernels for the host')
    names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(.*?\) )?(\w+)\(', source)
    text = _PROLOGUE + source + ''.join(_LAUNCH.format(name=name) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'kernels.cpp'
        file.write_text(text)
        flags = ['-O1', '-w', '-std=c++20', '-fno-strict-aliasing', '-shared', '-fPIC', *options]
        subprocess.run([compiler, *flags, '-o', f'{file}.so', str(file)], check=True)
        return ctypes.CDLL(f'{file}.so')


def compile_for_gpu(source: str, options: Sequence[str] = ()) -> bytes:
    """Return the PTX of a source, which needs CuPy but no device."""
    nvrtc = pytest.importorskip('cupy', reason='cupy is not installed').cuda.nvrtc
    program = nvrtc.createProgram(source, 'kernels.cu', [], [])
    nvrtc.compileProgram(program, ['--gpu-architecture=compute_75', '--std=c++17', *options])
    ptx: bytes = nvrtc.getPTX(program)
    return ptx
