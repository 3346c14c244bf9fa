# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The torch image transform against OpenCV and hand values, and what both versions share."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from functools import cache
import shutil
import subprocess

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
import pytest
import torch

from gpu_runtime.affine_map import AffineMap
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_format import PREPARED
from gpu_runtime.layout import Layout
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms import make_image_transform
from gpu_runtime.transforms import PreparedTensor
from gpu_runtime.transforms import transform_kernel
from gpu_runtime.transforms.cupy_transform import compile_options
from gpu_runtime.transforms.cupy_transform import CupyTransform
from gpu_runtime.transforms.cupy_transform import kernel_parameters
from gpu_runtime.transforms.image_data import averages
from gpu_runtime.transforms.torch_transform import TorchTransform

Picture = npt.NDArray[np.uint8]
CPU = torch.device('cpu')
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
TO_RGB = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'rgba8': [0, 1, 2, 3], 'bgra8': [2, 1, 0, 3]}


def random_picture(width: int, height: int, channels: int = 3) -> Picture:
    """Return noise, the hardest picture for a resize."""
    rng = np.random.default_rng(width * 1000 + height)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def as_bytes(
    picture: Picture, encoding: str, padding: int = 0
) -> tuple[torch.Tensor, ImageFormat]:
    """Lay an (H, W, 3 or 1) RGB picture out as a message would, rows padded with noise."""
    height, width, channels = picture.shape
    if channels == 3 and encoding in TO_RGB:
        alpha = np.full((height, width, 1), 77, np.uint8)
        picture = np.concatenate((picture, alpha), axis=2)[:, :, TO_RGB[encoding]]
    step = picture.shape[2] * width + padding
    rows = np.random.default_rng(0).integers(0, 256, (height, step), dtype=np.uint8)
    rows[:, : step - padding] = picture.reshape(height, -1)
    format = ImageFormat(width, height, encoding, step)
    return torch.from_numpy(rows.reshape(-1).copy()), format


def averaged_by_pil(picture: Picture, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the picture at a size by PIL's bilinear on floats, which antialiases."""
    planes = (Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(picture, 2, 0))
    resized = [np.asarray(plane.resize(size_wh, Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, axis=2)


def prepare(
    picture: Picture, spec: TensorSpec, encoding: str = 'rgb8', padding: int = 0
) -> PreparedTensor:
    """Run the CPU transform on a picture."""
    data, format = as_bytes(picture, encoding, padding)
    return make_image_transform(CPU)(data, format, spec)


@pytest.mark.parametrize(
    ('source_wh', 'target_wh'),
    [
        ((64, 48), (64, 48)),
        ((64, 48), (31, 17)),
        ((37, 23), (64, 48)),
        ((37, 23), (20, 51)),
        ((1, 1), (5, 3)),
        ((1, 9), (4, 4)),
        ((320, 240), (7, 5)),
    ],
)
def test_stretch_equals_opencv_on_floats(
    source_wh: tuple[int, int], target_wh: tuple[int, int]
) -> None:
    picture = random_picture(*source_wh)
    prepared = prepare(picture, TensorSpec(*target_wh, scale=1.0, antialias=False))
    expected = cv2.resize(picture.astype(np.float32), target_wh, interpolation=cv2.INTER_LINEAR)
    assert prepared.tensor.shape == (1, 3, target_wh[1], target_wh[0])
    np.testing.assert_allclose(
        prepared.tensor[0].permute(1, 2, 0).numpy(), expected, rtol=0, atol=0.05
    )


def test_hand_values_of_the_half_pixel_rule() -> None:
    picture = np.array([[[0], [100]]], dtype=np.uint8)
    spec = TensorSpec(4, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    prepared = prepare(picture, spec, 'mono8')
    assert prepared.tensor.flatten().tolist() == [0.0, 25.0, 75.0, 100.0]


def test_downscale_takes_two_neighbours_without_antialiasing() -> None:
    picture = np.arange(0, 80, 10, dtype=np.uint8).reshape(1, 8, 1)
    spec = TensorSpec(2, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,), antialias=False)
    assert prepare(picture, spec, 'mono8').tensor.flatten().tolist() == [15.0, 55.0]


def test_hand_values_of_the_triangle() -> None:
    # Halved, a tensor pixel weighs the four source pixels around it 1 3 3 1, fewer at an edge.
    picture = np.array([[[0], [8], [80], [240]]], dtype=np.uint8)
    spec = TensorSpec(2, 1, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    data, format = as_bytes(picture, 'mono8')
    tensor = TorchTransform(CPU, exact=True)(data, format, spec).tensor
    expected = [(3 * 0 + 3 * 8 + 80) / 7, (8 + 3 * 80 + 3 * 240) / 7]
    assert tensor.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_antialiasing_makes_no_difference_unless_an_axis_shrinks() -> None:
    picture = random_picture(37, 23)
    for size in ((37, 23), (64, 48), (37, 100)):
        sampled = prepare(picture, TensorSpec(*size, antialias=False))
        averaged = prepare(picture, TensorSpec(*size))
        assert torch.equal(sampled.tensor, averaged.tensor)
        assert averaged.map == sampled.map
    assert TensorSpec(8, 8) != TensorSpec(8, 8, antialias=False)


@pytest.mark.parametrize('encoding', [*sorted(TO_RGB), 'mono8'])
@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('exact', [False, True])
@pytest.mark.parametrize(
    ('source_wh', 'target_wh'),
    [
        ((64, 48), (64, 47)),
        ((65, 39), (50, 30)),  # 1.3
        ((101, 67), (22, 15)),  # 4.6
        ((37, 23), (20, 51)),
        ((300, 301), (1, 1)),
        ((601, 3), (2, 9)),
        ((1, 300), (5, 1)),
        ((1, 300), (1, 40)),
        ((2, 2), (1, 3)),
    ],
)
def test_shrinking_averages_as_pil_does_on_floats(
    source_wh: tuple[int, int],
    target_wh: tuple[int, int],
    exact: bool,
    padding: int,
    encoding: str,
) -> None:
    picture = random_picture(*source_wh, 1 if encoding == 'mono8' else 3)
    data, format = as_bytes(picture, encoding, padding)
    spec = TensorSpec(*target_wh, scale=1.0)
    tensor = TorchTransform(CPU, exact=exact)(data, format, spec).tensor
    expected = torch.from_numpy(averaged_by_pil(picture, target_wh)).permute(2, 0, 1)[None]
    torch.testing.assert_close(
        tensor, expected.expand_as(tensor), rtol=0, atol=1e-2 if exact else 1.0
    )


def test_a_picture_and_its_half_look_more_alike_with_antialiasing() -> None:
    whole = np.asarray(cv2.GaussianBlur(random_picture(640, 480), (0, 0), 1.0), np.uint8)
    half = np.asarray(cv2.resize(whole, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)

    def difference(antialias: bool) -> float:
        spec = TensorSpec(160, 160, Fit.LETTERBOX_CENTER, antialias=antialias)
        return (prepare(whole, spec).tensor - prepare(half, spec).tensor).abs().mean().item()

    assert difference(antialias=True) < 0.3 * difference(antialias=False)


@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('encoding', sorted(TO_RGB))
@pytest.mark.parametrize('target_wh', [(33, 21), (16, 40)])
def test_every_encoding_and_step_gives_the_same_tensor(
    encoding: str, padding: int, target_wh: tuple[int, int]
) -> None:
    picture = random_picture(33, 21)
    spec = TensorSpec(*target_wh, channels='bgr', mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = prepare(picture, spec).tensor
    torch.testing.assert_close(
        prepare(picture, spec, encoding, padding).tensor, expected, rtol=0, atol=1e-6
    )


def test_mono_picture_fills_every_channel() -> None:
    grey = random_picture(20, 10, 1)
    colour = np.repeat(grey, 3, axis=2)
    spec = TensorSpec(13, 13, Fit.LETTERBOX_CENTER)
    torch.testing.assert_close(
        prepare(grey, spec, 'mono8', padding=3).tensor, prepare(colour, spec).tensor
    )


@pytest.mark.parametrize('encoding', sorted(TO_RGB))
def test_mono_tensor_is_luma(encoding: str) -> None:
    picture = random_picture(19, 11)
    spec = TensorSpec(0, 0, channels='mono', scale=1.0, mean=(0.0,), std=(1.0,))
    expected = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(
        prepare(picture, spec, encoding).tensor[0, 0].numpy(), expected, rtol=0, atol=1e-3
    )


def test_normalisation_is_per_output_channel() -> None:
    picture = np.full((1, 1, 3), (51, 102, 204), dtype=np.uint8)
    spec = TensorSpec(1, 1, channels='bgr', mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    expected = [(0.8 - 0.1) / 0.5, (0.4 - 0.2) / 1.0, (0.2 - 0.3) / 2.0]
    assert prepare(picture, spec).tensor.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_layout_and_dtype(dtype: torch.dtype) -> None:
    picture = random_picture(40, 30)
    nchw = prepare(picture, TensorSpec(32, 32, Fit.LETTERBOX_CENTER)).tensor
    spec = TensorSpec(32, 32, Fit.LETTERBOX_CENTER, layout=Layout.NHWC, dtype=dtype)
    nhwc = prepare(picture, spec).tensor
    assert nhwc.shape == (1, 32, 32, 3)
    assert nhwc.dtype == dtype
    assert nhwc.is_contiguous()
    torch.testing.assert_close(nhwc.permute(0, 3, 1, 2).float(), nchw, rtol=0, atol=5e-4)


@pytest.mark.parametrize(('fit', 'top'), [(Fit.LETTERBOX_CENTER, 8), (Fit.LETTERBOX_TOP_LEFT, 0)])
def test_letterbox_places_the_picture_and_pads_the_rest(fit: Fit, top: int) -> None:
    picture = np.full((16, 32, 3), 255, dtype=np.uint8)
    spec = TensorSpec(32, 32, fit, pad=114.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    prepared = prepare(picture, spec)
    inside = prepared.tensor[0, :, top : top + 16]
    torch.testing.assert_close(inside, torch.full((3, 16, 32), 2.0))
    outside = prepared.tensor.sum() - inside.sum()
    assert outside.item() == pytest.approx(3 * 16 * 32 * (114 / 255 - 0.5) / 0.25, rel=1e-4)
    assert (prepared.map.offset_x, prepared.map.offset_y) == (0.0, float(top))


def test_size_zero_keeps_the_picture_and_pads_to_a_multiple() -> None:
    picture = random_picture(33, 19)
    prepared = prepare(picture, TensorSpec(0, 0, scale=1.0, pad=7.0, multiple=32))
    assert prepared.tensor.shape == (1, 3, 32, 64)
    kept = prepared.tensor[0, :, :19, :33].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(kept, picture.astype(np.float32))
    assert (prepared.tensor[0, :, 19:] == 7).all()
    assert (prepared.tensor[0, :, :, 33:] == 7).all()


@pytest.mark.parametrize('fit', list(Fit))
@pytest.mark.parametrize('source_wh', [(200, 100), (101, 203), (64, 64)])
def test_boxes_return_to_the_pixels_they_came_from(fit: Fit, source_wh: tuple[int, int]) -> None:
    width, height = source_wh
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    left, top, right, bottom = width // 5, height // 4, width // 2, height * 3 // 4
    picture[top:bottom, left:right] = 255
    prepared = prepare(picture, TensorSpec(160, 160, fit, pad=0.0))
    bright = (prepared.tensor[0, 0] > 0.5).nonzero()
    low, high = bright.min(dim=0).values, bright.max(dim=0).values + 1
    box = torch.tensor([[low[1], low[0], high[1], high[0]]], dtype=torch.float32)
    source = prepared.map.boxes_to_source(box)[0]
    pixel = 0.5 / min(prepared.map.scale_x, prepared.map.scale_y) + 0.5
    expected = torch.tensor([left, top, right, bottom], dtype=torch.float32)
    torch.testing.assert_close(source, expected, rtol=0, atol=pixel)


def test_data_may_be_a_slice_of_a_larger_slab() -> None:
    data, format = as_bytes(random_picture(17, 9), 'bgr8', padding=5)
    slab = torch.cat((torch.zeros(41, dtype=torch.uint8), data, torch.zeros(9, dtype=torch.uint8)))
    transform, spec = TorchTransform(CPU), TensorSpec(8, 8)
    expected = transform(data, format, spec).tensor
    torch.testing.assert_close(transform(slab[41:], format, spec).tensor, expected)


def test_the_picture_is_left_as_it_was_and_the_tensor_is_new() -> None:
    data, format = as_bytes(random_picture(12, 12), 'rgb8')
    before = data.clone()
    transform, spec = TorchTransform(CPU), TensorSpec(0, 0)
    first, second = transform(data, format, spec), transform(data, format, spec)
    first.tensor.zero_()
    assert torch.equal(data, before)
    assert second.tensor.abs().sum() > 0
    assert second.spec is spec


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (torch.zeros(11, dtype=torch.uint8), '11 bytes'),
        (torch.zeros(12, dtype=torch.float32), 'float32'),
        (torch.zeros((2, 6), dtype=torch.uint8), r'\(2, 6\)'),
        (torch.zeros(24, dtype=torch.uint8)[::2], 'contiguous'),
        (torch.zeros(12, dtype=torch.uint8, device='meta'), 'meta'),
    ],
)
def test_unfit_data_is_refused(data: torch.Tensor, message: str) -> None:
    with pytest.raises(SpecMismatchError, match=message):
        make_image_transform(CPU)(data, ImageFormat(2, 2, 'rgb8', 6), TensorSpec(2, 2))


def test_the_factory_gives_torch_on_the_cpu_and_the_kernel_refuses_it() -> None:
    assert isinstance(make_image_transform(CPU), TorchTransform)
    with pytest.raises(SpecMismatchError, match='make_image_transform'):
        CupyTransform(CPU)


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
