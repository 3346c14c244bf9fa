# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The fused kernel against the torch oracle, and what only a GPU can prove about it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
import os

import pytest
import torch

from gpu_runtime.encoding import ENCODINGS
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.layout import Layout
from gpu_runtime.pixel_kind import PixelKind
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms.cupy_transform import compile_options
from gpu_runtime.transforms.cupy_transform import CupyTransform
from gpu_runtime.transforms.torch_transform import TorchTransform

pytestmark = pytest.mark.gpu

ORACLE = TorchTransform(torch.device('cpu'), exact=True)
TOLERANCE = 1.0 / 255.0
# source width, height, bytes of row padding; tensor width, height, fit, multiple
GEOMETRIES = [
    (64, 48, 0, 64, 48, Fit.STRETCH, 1),
    (37, 23, 5, 64, 48, Fit.STRETCH, 1),
    (37, 23, 5, 64, 48, Fit.LETTERBOX_CENTER, 1),
    (640, 480, 0, 416, 416, Fit.LETTERBOX_TOP_LEFT, 1),
    (1281, 719, 7, 416, 416, Fit.LETTERBOX_CENTER, 1),
    (416, 312, 0, 320, 240, Fit.STRETCH, 1),  # ratio 1.3
    (737, 461, 3, 160, 100, Fit.STRETCH, 1),  # ratio 4.6
    (50, 300, 1, 77, 41, Fit.STRETCH, 1),  # one axis grows, the other shrinks
    (1200, 600, 2, 4, 2, Fit.LETTERBOX_CENTER, 1),  # 300:1
    (33, 19, 1, 0, 0, Fit.STRETCH, 32),
    (50, 40, 0, 0, 20, Fit.LETTERBOX_TOP_LEFT, 8),
    (1, 1, 3, 7, 5, Fit.STRETCH, 1),
    (1, 300, 0, 40, 40, Fit.LETTERBOX_CENTER, 1),
]
Geometry = tuple[int, int, int, int, int, Fit, int]


def make_spec(
    width: int,
    height: int,
    *,
    fit: Fit = Fit.STRETCH,
    channels: str = 'rgb',
    layout: Layout = Layout.NCHW,
    dtype: torch.dtype = torch.float32,
    multiple: int = 1,
    antialias: bool = True,
) -> TensorSpec:
    """Return a spec on the 0 to 1 scale, with means that tell the channels apart."""
    count = 1 if channels in ('mono', 'depth') else 3
    return TensorSpec(
        width,
        height,
        fit,
        channels,
        layout,
        dtype,
        mean=(0.1, 0.2, 0.3)[:count],
        std=(1.0,) * count,
        multiple=multiple,
        antialias=antialias,
    )


def noise(format: ImageFormat) -> torch.Tensor:
    """Return random bytes for a picture, row padding included; of depth up to 66 m."""
    generator = torch.Generator().manual_seed(format.nbytes)
    data = torch.randint(0, 256, (format.nbytes,), dtype=torch.uint8, generator=generator)
    if format.encoding == '32FC1':
        rows = data.view(format.height, format.step)
        depth = torch.rand((format.height, format.width), generator=generator) * 66.0
        depth[depth < 10.0] = torch.nan
        rows[:, : format.row_nbytes] = depth.view(torch.uint8)
    return data


def make_format(width: int, height: int, encoding: str = 'bgr8', padding: int = 0) -> ImageFormat:
    """Return a format with some bytes of row padding, of the next size that there is."""
    known = ENCODINGS[encoding]
    columns, rows = known.kind.block_wh
    width, height = width + -width % columns, height + -height % rows
    if known.kind is PixelKind.BAYER:
        width, height = max(width, 3), max(height, 3)
    return ImageFormat(width, height, encoding, width * known.channels * known.itemsize + padding)


def every_tensor(
    antialias: bool, encoding: str, geometry: Geometry
) -> Iterator[tuple[ImageFormat, TensorSpec]]:
    """Yield the format of a picture with a spec of each kind of tensor that it can become."""
    width, height, padding, columns, rows, fit, multiple = geometry
    depth = ENCODINGS[encoding].kind is PixelKind.DEPTH
    choices = ('depth',) if depth else ('rgb', 'bgr', 'mono')
    for channels, layout, dtype in product(choices, Layout, (torch.float32, torch.float16)):
        yield (
            make_format(width, height, encoding, padding),
            make_spec(
                columns,
                rows,
                fit=fit,
                channels=channels,
                layout=layout,
                dtype=dtype,
                multiple=multiple,
                antialias=antialias,
            ),
        )


def variants(items: list[pytest.Item]) -> set[tuple[str, ...]]:
    """Return the options of all kernels that the selected comparisons with the oracle launch."""
    return {
        compile_options(format, spec)
        for item in items
        if isinstance(item, pytest.Function) and item.function is test_agrees_with_the_oracle
        for format, spec in every_tensor(**item.callspec.params)
    }


@pytest.fixture(scope='module')
def compiled(gpu: torch.device, request: pytest.FixtureRequest) -> None:
    """Compile thousands of kernels on all cores; CuPy keeps them, in the process and on disk."""
    transform = CupyTransform(gpu)

    def build(options: tuple[str, ...]) -> None:
        with torch.cuda.device(gpu):
            transform._kernel(options)._kernel.compile()  # without the interpreter lock

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(build, variants(request.session.items)))


@pytest.mark.parametrize('geometry', GEOMETRIES)
@pytest.mark.parametrize('encoding', list(ENCODINGS))
@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.timeout(1200)  # the first waits for all kernels
@pytest.mark.usefixtures('compiled')
def test_agrees_with_the_oracle(
    gpu: torch.device, antialias: bool, encoding: str, geometry: Geometry
) -> None:
    transform, format = CupyTransform(gpu), make_format(*geometry[:2], encoding, geometry[2])
    data = noise(format)
    on_device = data.to(gpu)
    for _, spec in every_tensor(antialias, encoding, geometry):
        got, expected = transform(on_device, format, spec), ORACLE(data, format, spec)
        assert got.map == expected.map
        assert got.tensor.dtype == spec.dtype
        assert got.tensor.shape == expected.tensor.shape
        assert got.tensor.is_contiguous()
        difference = (got.tensor.cpu().float() - expected.tensor.float()).abs().max().item()
        assert difference <= TOLERANCE, spec


def test_the_factory_gives_the_kernel_and_torch_works_there_too(gpu: torch.device) -> None:
    transform = make_image_transform(torch.device('cuda'))
    assert isinstance(transform, CupyTransform)
    format, spec = make_format(320, 240), make_spec(128, 128, fit=Fit.LETTERBOX_CENTER)
    data = noise(format).to(torch.device('cuda', torch.cuda.current_device()))
    torch.testing.assert_close(
        transform(data, format, spec).tensor,
        TorchTransform(torch.device('cuda'))(data, format, spec).tensor,
        rtol=0,
        atol=TOLERANCE,
    )


def test_data_on_the_host_is_refused(gpu: torch.device) -> None:
    format = make_format(8, 8)
    with pytest.raises(SpecMismatchError, match='upload it'):
        make_image_transform(gpu)(noise(format), format, make_spec(4, 4))


@pytest.mark.parametrize('start', [1, 2, 3, 4])
@pytest.mark.parametrize('encoding', ['rgb8', 'mono16', 'yuv422', 'nv12', 'bayer_rggb8'])
def test_data_may_begin_anywhere_in_a_slab(gpu: torch.device, encoding: str, start: int) -> None:
    format, spec = make_format(22, 14, encoding, 2), make_spec(16, 16)
    data = noise(format)
    slab = torch.zeros(data.numel() + start, dtype=torch.uint8, device=gpu)
    slab[start:].copy_(data)
    got = make_image_transform(gpu)(slab[start:], format, spec).tensor.cpu()
    torch.testing.assert_close(got, ORACLE(data, format, spec).tensor, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize('encoding', ['rgb8', 'nv12', 'bayer_rggb8'])
def test_many_blocks_of_many_threads_agree_with_the_oracle(
    gpu: torch.device, encoding: str, dtype: torch.dtype
) -> None:
    """Several strips per row, each with its source columns in several parts."""
    format = make_format(4096, 300, encoding)
    data = noise(format)
    for columns, rows in ((1001, 75), (20, 3), (5000, 310)):
        spec = make_spec(columns, rows, dtype=dtype)
        got = CupyTransform(gpu)(data.to(gpu), format, spec).tensor.cpu().float()
        expected = ORACLE(data, format, spec).tensor.float()
        torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


def test_enqueues_on_the_current_stream_and_returns_at_once(gpu: torch.device) -> None:
    format, spec = make_format(640, 480), make_spec(320, 320)
    transform, data = CupyTransform(gpu), noise(format)
    on_device = data.to(gpu)
    transform(on_device, format, spec)
    torch.cuda.synchronize(gpu)
    stream = torch.cuda.Stream(gpu)
    late = torch.zeros_like(on_device)
    torch.cuda.synchronize(gpu)
    torch.cuda.set_sync_debug_mode('error')
    try:
        with torch.cuda.stream(stream):
            # Once before the latch, so that this stream's memory is there.
            transform(late, format, spec)
            torch.cuda._sleep(1_000_000_000)  # a latch: half a second of device time
            late.copy_(on_device)
            tensor = transform(late, format, spec).tensor
            still_busy = not stream.query()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert still_busy
    stream.synchronize()
    torch.testing.assert_close(
        tensor.cpu(), ORACLE(data, format, spec).tensor, rtol=0, atol=TOLERANCE
    )


def test_steady_state_allocates_no_device_memory(gpu: torch.device) -> None:
    cupy = pytest.importorskip('cupy')
    format, spec = make_format(640, 480), make_spec(320, 320)
    transform, data = CupyTransform(gpu), noise(format).to(gpu)
    for _ in range(3):
        transform(data, format, spec)
    torch.cuda.synchronize(gpu)
    before = torch.cuda.memory_stats(gpu)['num_device_alloc']
    cupy_before = cupy.get_default_memory_pool().total_bytes()
    for _ in range(50):
        transform(data, format, spec)
    torch.cuda.synchronize(gpu)
    assert torch.cuda.memory_stats(gpu)['num_device_alloc'] == before
    assert cupy.get_default_memory_pool().total_bytes() == cupy_before


def test_runs_inside_a_captured_graph(gpu: torch.device) -> None:
    format = make_format(160, 120, 'rgba8')
    spec = make_spec(96, 96, fit=Fit.LETTERBOX_CENTER, dtype=torch.float16)
    transform, data = CupyTransform(gpu), noise(format)
    static = torch.zeros(format.nbytes, dtype=torch.uint8, device=gpu)
    transform(static, format, spec)
    torch.cuda.synchronize(gpu)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode='thread_local'):
        tensor = transform(static, format, spec).tensor
    static.copy_(data)
    graph.replay()
    torch.cuda.synchronize(gpu)
    torch.testing.assert_close(
        tensor.cpu().float(),
        ORACLE(data, format, spec).tensor.float(),
        rtol=0,
        atol=TOLERANCE,
    )


def test_two_threads_share_one_transform(gpu: torch.device) -> None:
    transform = CupyTransform(gpu)

    def worst(side: int) -> float:
        format, spec = make_format(side, side // 2), make_spec(64, 64)
        data = noise(format)
        expected, difference = ORACLE(data, format, spec).tensor, 0.0
        stream = torch.cuda.Stream(gpu)
        with torch.cuda.stream(stream):
            on_device = data.to(gpu)
            for _ in range(50):
                tensor = transform(on_device, format, spec).tensor.cpu()
                difference = max(difference, (tensor - expected).abs().max().item())
        return difference

    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(worst, (100, 300))) <= TOLERANCE


def test_pictures_beyond_two_gibibytes_are_addressed_right(gpu: torch.device) -> None:
    format = ImageFormat(32768, 20000, 'rgba8', 32768 * 4)
    if torch.cuda.mem_get_info(gpu)[0] < 4 * 2**30:
        pytest.skip('less than 4 GiB of device memory free')
    data = torch.zeros(format.nbytes, dtype=torch.uint8, device=gpu)
    data[format.nbytes // 2 :] = 255
    transform = make_image_transform(gpu)
    for antialias, blurred in ((False, 0), (True, 1)):
        spec = TensorSpec(32, 32, antialias=antialias)
        tensor = transform(data, format, spec).tensor.cpu()
        assert tensor[:, :, : 16 - blurred].eq(0.0).all()
        below = tensor[:, :, 16 + blurred :]
        torch.testing.assert_close(below, torch.ones_like(below))
