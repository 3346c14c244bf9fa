# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What the image transform costs on this GPU, against its bytes, torchvision and CV-CUDA.

::

    .venv/bin/python test/bench/image_transform.py

Times are of the device, from replays of a CUDA graph in which every picture is another one of more
than its caches hold; CV-CUDA, where it is installed, is timed call by call.  The floor is the time
that the picture's bytes and the tensor's need at the measured bandwidth of a copy, plus that of an
empty kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import importlib.util
import statistics
import sys
from typing import Any

import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.cupy_kernel import CupyKernel
from gpu_runtime.transforms.cupy_transform import CupyTransform

PICTURES_NBYTES = 400 << 20
"""Of the pictures that take turns: eight times the L2 cache of an H100 (50 MiB)."""

EMPTY = 'extern "C" __global__ void nothing() {}'
Call = Callable[[torch.Tensor], object]


@dataclass(frozen=True)
class Case:
    """One picture and one tensor."""

    encoding: str
    width: int = 1920
    height: int = 1200
    side: int = 640
    fit: Fit = Fit.STRETCH
    dtype: torch.dtype = torch.float16
    antialias: bool = True

    @property
    def format(self) -> ImageFormat:
        """The picture, without row padding."""
        known = ENCODINGS[self.encoding]
        step = self.width * known.channels * known.itemsize
        return ImageFormat(self.width, self.height, self.encoding, step)

    @property
    def spec(self) -> TensorSpec:
        """The tensor."""
        depth = ENCODINGS[self.encoding].kind is PixelKind.DEPTH
        count = 1 if depth else 3
        return TensorSpec(
            self.side,
            self.side,
            self.fit,
            'depth' if depth else 'rgb',
            dtype=self.dtype,
            mean=(0.0,) * count,
            std=(1.0,) * count,
            antialias=self.antialias,
        )

    @property
    def nbytes(self) -> int:
        """Bytes that must move: the whole picture in, the tensor out."""
        channels = self.spec.channel_count
        return self.format.nbytes + self.side * self.side * channels * self.dtype.itemsize

    def pictures(self) -> list[torch.Tensor]:
        """Return pictures of noise on the device, more than its caches hold."""
        count = max(4, PICTURES_NBYTES // self.format.nbytes)
        shape = (self.format.nbytes,)
        return [
            torch.randint(0, 256, shape, dtype=torch.uint8, device='cuda') for _ in range(count)
        ]


CASES = (
    Case('rgb8'),
    Case('rgb8', antialias=False),
    Case('rgb8', dtype=torch.float32),
    Case('rgb8', fit=Fit.LETTERBOX_CENTER),
    Case('rgb8', 640, 480, 416),
    Case('rgb8', 3840, 2160, 640),
    *(
        Case(encoding)
        for encoding in ENCODINGS
        if encoding not in ('rgb8', 'uyvy', 'yuyv', 'nv21')
    ),
)


def replayed_s(call: Call, inputs: list[torch.Tensor]) -> float:
    """Return device seconds of one call, the median of replays of a graph of all inputs."""
    call(inputs[0])
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for item in inputs:
            call(item)
    graph.replay()
    return statistics.median(_elapsed_s(graph.replay) for _ in range(9)) / len(inputs)


def called_s(call: Call, inputs: list[torch.Tensor]) -> float:
    """Return seconds of one call where calls follow each other, those of the host included."""

    def all_of_them() -> None:
        for item in inputs:
            call(item)

    all_of_them()
    return statistics.median(_elapsed_s(all_of_them) for _ in range(5)) / len(inputs)


def _elapsed_s(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000.0


def copied_bytes_per_s() -> float:
    """Return the memory bandwidth, read and written, of a device-to-device copy of 1 GiB."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device='cuda')
    target = torch.empty_like(source)
    return 2 * source.numel() / replayed_s(target.copy_, [source] * 4)


def launch_s() -> float:
    """Return what an empty kernel costs between others."""
    kernel = CupyKernel(EMPTY, 'nothing', torch.device('cuda', torch.cuda.current_device()))
    anything = torch.zeros(1, device='cuda')
    return replayed_s(lambda _: kernel.launch((1,), (32,), ()), [anything] * 200)


def fused(case: Case) -> Call:
    """Return the kernel of this project."""
    transform = CupyTransform(torch.device('cuda'))
    format, spec = case.format, case.spec
    return lambda data: transform(data, format, spec)


def torchvision_of(case: Case) -> Call | None:
    """Return the same work by ``torchvision.transforms.v2``, which reads planes of RGB."""
    if case.encoding != 'rgb8' or case.fit is not Fit.STRETCH:
        return None
    from torchvision.transforms import v2

    steps = v2.Compose(
        [
            v2.Resize((case.side, case.side), antialias=case.antialias),
            v2.ToDtype(case.dtype, scale=True),
        ]
    )
    shape = (case.height, case.width, 3)
    return lambda data: steps(data.view(shape).permute(2, 0, 1)[None]).contiguous()


def cvcuda_of(case: Case) -> Call | None:
    """Return the same work by CV-CUDA where that is installed; it converts to float32 only."""
    if case.encoding != 'rgb8' or case.fit is not Fit.STRETCH:
        return None
    if importlib.util.find_spec('cvcuda') is None:
        return None
    cvcuda: Any = importlib.import_module('cvcuda')
    how = cvcuda.Interp.AREA if case.antialias else cvcuda.Interp.LINEAR
    shape = (1, case.height, case.width, 3)
    target = (1, case.side, case.side, 3)

    def call(data: torch.Tensor) -> object:
        stream = cvcuda.cuda.as_stream(torch.cuda.current_stream().cuda_stream)
        with stream:
            picture = cvcuda.as_tensor(data.view(shape), 'NHWC')
            numbers = cvcuda.convertto(cvcuda.resize(picture, target, how), 'f4', scale=1 / 255)
            return cvcuda.reformat(numbers, 'NCHW')

    return call


def main() -> int:
    """Print a line per case."""
    if not torch.cuda.is_available():
        print('no CUDA device: this measures nothing else', file=sys.stderr)
        return 1
    bandwidth, launch = copied_bytes_per_s(), launch_s()
    print(f'{torch.cuda.get_device_name()}: copy {bandwidth / 1e9:.0f} GB/s, ', end='')
    print(f'empty kernel {launch * 1e6:.2f} us; times in us per picture')
    names = ('bytes', 'floor', 'kernel', '/floor', 'vision', 'cvcuda', 'call', 'vision')
    print(f'{"picture, tensor":44s}' + ''.join(f'{name:>9s}' for name in names))
    for case in CASES:
        inputs = case.pictures()
        own, others = fused(case), (torchvision_of(case), cvcuda_of(case))
        bytes_s = case.nbytes / bandwidth
        device_s = replayed_s(own, inputs)
        label = f'{case.encoding} {case.width}x{case.height}, {case.side} {case.fit.value}'
        label += f' {"area" if case.antialias else "bilinear"} {str(case.dtype)[-2:]}'
        numbers = [bytes_s, bytes_s + launch, device_s]
        print(f'{label:44s}' + ''.join(f'{number * 1e6:9.2f}' for number in numbers), end='')
        print(f'{device_s / (bytes_s + launch):9.2f}', end='')
        times = [
            others[0] and replayed_s(others[0], inputs),
            others[1] and called_s(others[1], inputs),
            called_s(own, inputs),
            others[0] and called_s(others[0], inputs),
        ]
        print(''.join(f'{time * 1e6:9.2f}' if time else f'{"-":>9s}' for time in times))
    return 0


if __name__ == '__main__':
    sys.exit(main())
