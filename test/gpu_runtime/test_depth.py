# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Depth networks: what goes in, what comes out, and the geometry between, against references."""

from __future__ import annotations

from pathlib import Path
import threading
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
import pytest
import torch

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.depth import CameraRays
from gpu_runtime.depth import COLORMAPS
from gpu_runtime.depth import depth_input
from gpu_runtime.depth import DepthColors
from gpu_runtime.depth import DepthConversion
from gpu_runtime.depth import DepthNetwork
from gpu_runtime.depth import millimetres
from gpu_runtime.depth import organised_points
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.fit import Fit
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.models import EagerModel
from gpu_runtime.models import Forward
from gpu_runtime.models import load_model
from gpu_runtime.models import ModelSource
from gpu_runtime.tensor_spec import TensorSpec
from gpu_runtime.transforms.torch_transform import TorchTransform

CPU = torch.device('cpu')
NAN = float('nan')
MAX_ABS_REL = 0.03
MIN_CORRELATION = 0.95
FASTDEPTH = 'models/depth/fastdepth_pruned_nyu_224.onnx'
K = (518.0, 0.0, 325.5, 0.0, 519.0, 253.5, 0.0, 0.0, 1.0)


def camera(model: str = '', d: tuple[float, ...] = (), **fields: Any) -> CameraModel:
    """Return a camera of 640 x 480 px."""
    return CameraModel(640, 480, 'camera_optical', model, d, **{'k': K, **fields})


def estimate(network: DepthNetwork, picture: Any, encoding: str = 'rgb8') -> Any:
    """Return what the network says about a picture, at its size."""
    height, width = picture.shape[:2]
    data = torch.from_numpy(np.ascontiguousarray(picture).reshape(-1))
    layout = ImageFormat(width, height, encoding, width * picture.shape[2])
    with torch.inference_mode():
        return network(TorchTransform(CPU)(data, layout, network.spec)).numpy()


@pytest.fixture(scope='module')
def fastdepth(shared_dir: Path) -> DepthNetwork:
    """Load a real network of indoor depth in metres."""
    source = ModelSource.parse(str(shared_dir / FASTDEPTH))
    model = load_model(source, device=CPU, capture_lock=threading.Lock())
    network = DepthNetwork(model, depth_input(source, None, normalization='unit'))
    network.warm_up(CPU)
    return network


@pytest.mark.shared
def test_the_reference_prediction_is_reproduced(fastdepth: DepthNetwork, shared_dir: Path) -> None:
    """The authors' own input gives their own output, but for the rounding of the weights."""
    folder = shared_dir / 'data/rgbd/fastdepth_ref'
    picture = np.round(np.load(folder / 'rgb.npy') * 255).astype(np.uint8)
    expected = np.load(folder / 'pred.npy')[0, 0]
    depth = DepthConversion()(torch.tensor(estimate(fastdepth, picture))).numpy()
    error = float(np.mean(np.abs(depth - expected) / expected))
    print(f'abs-rel {error:.4f}')
    assert error <= MAX_ABS_REL


@pytest.mark.shared
@pytest.mark.parametrize('number', range(1, 6))
def test_depth_follows_the_sensor(fastdepth: DepthNetwork, shared_dir: Path, number: int) -> None:
    """On pictures of a real depth camera, where it measured something."""
    picture = cv2.imread(str(shared_dir / f'data/rgbd/color/{number}.png'))
    measured = cv2.imread(str(shared_dir / f'data/rgbd/depth/{number}.pgm'), -1) * 1e-3
    depth = estimate(fastdepth, picture, 'bgr8')
    assert depth.shape == measured.shape
    seen = measured > 0
    correlation = float(np.corrcoef(depth[seen], measured[seen])[0, 1])
    print(f'{number}: correlation {correlation:.4f}')
    assert correlation >= MIN_CORRELATION


class Luma(torch.nn.Module):
    """A network whose depth is the brightness, at a fraction of the input's size."""

    def __init__(self, pool: int = 1) -> None:
        super().__init__()
        self._pool = torch.nn.AvgPool2d(pool)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return something else, and the brightness without channels."""
        return picture, self._pool(picture).mean(dim=1)


@pytest.mark.parametrize('fit', list(Fit))
@pytest.mark.parametrize('pool', [1, 2])
@pytest.mark.parametrize('size', [(160, 96), (96, 160), (64, 64), (31, 47)])
def test_maps_lie_on_the_pixels_of_the_source(fit: Fit, pool: int, size: tuple[int, int]) -> None:
    """A ramp comes back as the same ramp, whatever was done to fit it: no shift, no padding."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    picture = np.repeat((60 * x / width + 120 * y / height)[..., None], 3, 2).astype(np.uint8)
    spec = TensorSpec(64, 64, fit=fit, scale=1.0)
    network = DepthNetwork(EagerModel(Forward(Luma(pool).eval())), spec, output_index=1)
    found = estimate(network, picture)
    assert found.shape == (height, width)
    margin = 2 + 4 * max(1, max(size) // 64)  # the border pixels of a smaller map are flat
    inner = (slice(margin, -margin),) * 2
    assert np.abs(found - picture[..., 0])[inner].mean() < 1.0
    assert np.abs(found - picture[..., 0])[inner].max() < 4.0
    if pool == 1:  # a smaller map may mix picture and padding in the pixels at the border
        assert np.abs(found - picture[..., 0]).max() < 5.0


def test_other_outputs_are_refused() -> None:
    """Named with the shapes that the network returned."""
    model = EagerModel(Forward(Luma().eval()))
    for index in (0, 2):
        network = DepthNetwork(model, TensorSpec(64, 64), output_index=index)
        with pytest.raises(ModelError, match=r'\(1, 3, 64, 64\), \(1, 64, 64\).*output_index'):
            network.warm_up(CPU)


def test_kinds_scale_shift_and_range() -> None:
    """Hand values; everything outside of the range is NaN."""
    values = torch.tensor([[-1.0, 0.0, 0.25], [1.0, 4.0, NAN]])
    cases: list[tuple[dict[str, Any], list[list[float]]]] = [
        ({}, [[NAN, NAN, 0.25], [1, 4, NAN]]),
        ({'scale': 2.0, 'shift': 1.0, 'max_depth_m': 3.0}, [[NAN, 1, 1.5], [3, NAN, NAN]]),
        ({'kind': 'inverse'}, [[NAN, NAN, 4], [1, 0.25, NAN]]),
        ({'kind': 'inverse', 'scale': 0.5, 'shift': 0.5}, [[NAN, 2, 1.6], [1, 0.4, NAN]]),
        ({'kind': 'relative', 'scale': 5.0, 'shift': 1.0}, [[1, 2, 2.25], [3, 6, NAN]]),
    ]
    for fields, expected in cases:
        found = DepthConversion(**fields)(values)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, err_msg=str(fields))
    flat = DepthConversion('relative', 5.0, 1.0)(torch.full((2, 2), 7.0))
    assert flat.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    twice = DepthConversion(max_depth_m=2.0)(values, 2.0)
    np.testing.assert_allclose(twice.numpy(), [[NAN, NAN, 0.5], [2, NAN, NAN]])


def test_millimetres_are_unsigned_and_rounded() -> None:
    """0 for what is invalid or does not fit in 16 bits."""
    depth = torch.tensor([[0.0004, 0.0006, 1.2344], [65.535, 65.5356, NAN], [-1.0, 40.0, 1e9]])
    found = millimetres(depth).numpy().view(np.uint16)
    assert found.tolist() == [[0, 1, 1234], [65535, 0, 0], [0, 40000, 0]]


@pytest.mark.parametrize(
    ('model', 'd'),
    [
        ('', ()),
        ('plumb_bob', (0.0,) * 5),
        ('plumb_bob', (-0.28, 0.09, 0.001, -0.002, -0.01)),
        ('rational_polynomial', (0.4, -0.1, 0.0005, -0.0003, 0.01, 0.7, -0.05, 0.02)),
        ('equidistant', (-0.02, 0.01, -0.005, 0.001)),
        ('equidistant', (0.0,) * 4),
    ],
)
@pytest.mark.parametrize('stride', [1, 3])
def test_rays_are_those_of_opencv(model: str, d: tuple[float, ...], stride: int) -> None:
    """Within a hundredth of a pixel of points that OpenCV projects, everywhere in the picture."""
    found = CameraRays(CPU)(camera(model, d), stride).numpy().astype(np.float64)
    rows, columns = len(range(0, 480, stride)), len(range(0, 640, stride))
    assert found.shape == (2, rows, columns)
    points = np.stack((*found, np.ones((rows, columns))), axis=2).reshape(-1, 1, 3)
    matrix, zero = np.array(K).reshape(3, 3), np.zeros(3)
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    pixels, _ = project(points, zero, zero, matrix, np.array(d or (0.0,) * 5))
    v, u = np.mgrid[0:480:stride, 0:640:stride]
    difference = np.abs(pixels.reshape(rows, columns, 2) - np.stack((u, v), axis=2)).max()
    print(f'{model} {d}: {difference:.6f} px')
    assert difference < 0.01


def test_rays_of_rectified_pictures_and_of_pixels_that_see_nothing() -> None:
    """P replaces K and distortion; where a lens model cannot be inverted rays are NaN."""
    p = (400.0, 0.0, 320.0, -40.0, 0.0, 410.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    lens = ('plumb_bob', (-0.28, 0.09, 0.001, -0.002, -0.01))
    rays = CameraRays(CPU)(camera(*lens, p=p), rectified=True)
    assert rays[:, 240, 320].tolist() == [0.0, 0.0]
    assert rays[:, 0, 0].tolist() == pytest.approx([-0.8, -240 / 410])
    behind = camera('equidistant', (0.0,) * 4, k=(100.0, 0.0, 320.0, 0.0, 100.0, 240.0, 0, 0, 1.0))
    rays = CameraRays(CPU)(behind)
    assert rays[:, 240, 320].tolist() == [0.0, 0.0]
    assert rays[:, 240, 0].isnan().all()  # 3.2 rad off the axis
    folded = CameraRays(CPU)(camera('plumb_bob', (-4.0, 0.0, 0.0, 0.0, 0.0)))
    assert folded[:, 0, 0].isnan().all()
    assert folded[:, 254, 325].isfinite().all()


def test_rays_are_computed_once_per_calibration() -> None:
    """The same memory for an equal camera, another for another stride."""
    rays = CameraRays(CPU)
    first = rays(camera())
    assert rays(camera()) is first
    assert rays(camera(), 2).shape == (2, 240, 320)


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (camera(k=(0.0,) * 9), 'calibrate'),
        (camera('mirror', (1.0, 2.0)), 'equidistant'),
        (camera('plumb_bob', (1.0, 2.0)), 'set rectified'),
        (camera('rational_polynomial', (0.1,) * 14), '14 coefficients'),
    ],
)
def test_unusable_cameras_are_refused(bad: CameraModel, message: str) -> None:
    """With the remedy."""
    with pytest.raises(SpecMismatchError, match=message):
        CameraRays(CPU)(bad)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('rgb8', (0, 1, 2)), ('bgra8', (2, 1, 0)), ('mono8', (0, 0, 0))],
)
def test_points_carry_place_and_colour(encoding: str, order: Any, stride: int) -> None:
    """Pinhole formula and pixels, one by one, with padded rows."""
    channels = {'rgb8': 3, 'bgra8': 4, 'mono8': 1}[encoding]
    rng = np.random.default_rng(0)
    width, height, step = 7, 5, 7 * channels + 3
    data = rng.integers(0, 256, height * step, dtype=np.uint8)
    depth = rng.uniform(0.5, 5.0, (height, width)).astype(np.float32)
    depth[2, 4] = NAN
    model = CameraModel(width, height, k=(4.0, 0.0, 3.0, 0.0, 5.0, 2.0, 0.0, 0.0, 1.0))
    rays = CameraRays(CPU)(model, stride)
    layout = ImageFormat(width, height, encoding, step)
    found = organised_points(
        torch.from_numpy(depth), rays, torch.from_numpy(data), layout, stride
    ).numpy()
    pixels = data.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    for row, v in enumerate(range(0, height, stride)):
        for column, u in enumerate(range(0, width, stride)):
            z = depth[v, u]
            xyz = found[row, column, :3].view(np.float32)
            np.testing.assert_allclose(xyz, [(u - 3) / 4 * z, (v - 2) / 5 * z, z], rtol=1e-6)
            red, green, blue = (int(pixels[v, u, c]) for c in order)
            assert int(found[row, column, 3]) == red << 16 | green << 8 | blue
    assert np.isnan(found[2 // stride, 4 // stride, :3].view(np.float32)).all()


@pytest.mark.parametrize('name', COLORMAPS)
def test_colours_are_those_of_opencv(name: str) -> None:
    """Near is the last colour, far the first, beyond them the same, invalid black."""
    depth = torch.tensor([[1.0, 2.0, 3.0], [0.2, 9.0, NAN]])
    found = DepthColors(CPU)(depth, name, 1.0, 3.0).numpy()
    code = getattr(cv2, f'COLORMAP_{name.upper()}')
    values = np.array([[255, 128, 0], [255, 0, 0]], np.uint8)
    expected = cv2.applyColorMap(values, code)[..., ::-1].copy()
    expected[1, 2] = 0
    assert np.array_equal(found, expected)


def test_colours_take_the_range_of_the_picture() -> None:
    """Without a range; a flat or an invalid picture is no error."""
    colors = DepthColors(CPU)
    depth = torch.tensor([[4.0, 2.0, NAN]])
    assert torch.equal(colors(depth, 'bone'), colors(depth, 'bone', 2.0, 4.0))
    assert colors(torch.full((1, 2), 3.0), 'bone').tolist() == [[[255, 255, 255]] * 2]
    assert colors(torch.full((1, 2), NAN), 'bone').tolist() == [[[0, 0, 0]] * 2]


def resize_model(path: Path, sizes: bool, version: int, **attributes: Any) -> ModelSource:
    """Write a network of one Resize."""
    constants = {'scales': np.array([1, 1, 2, 3], np.float32)}
    inputs = ['x', '', 'scales']
    if sizes:
        constants = {'sizes': np.array([1, 2, 9, 11], np.int64)}  # type: ignore[dict-item]
        inputs = ['x', '', '', 'sizes']
    graph = helper.make_graph(
        [helper.make_node('Resize', inputs, ['y'], **attributes)],
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 2, 5, 6])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, list('nchw'))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid('', version)])
    proto.ir_version = 9
    onnx.save(proto, str(path))
    return ModelSource.parse(str(path))


@pytest.mark.parametrize('version', [18, 19])
@pytest.mark.parametrize('sizes', [False, True])
@pytest.mark.parametrize(
    'attributes',
    [
        {'mode': 'nearest', 'coordinate_transformation_mode': 'asymmetric',
         'nearest_mode': 'floor'},
        {'mode': 'linear'},
        {'mode': 'linear', 'coordinate_transformation_mode': 'align_corners'},
        {'mode': 'cubic', 'coordinate_transformation_mode': 'pytorch_half_pixel'},
    ],
)  # fmt: skip
def test_resize_is_that_of_the_reference_evaluator(
    tmp_path: Path, attributes: dict[str, Any], sizes: bool, version: int
) -> None:
    """New opsets, by factor and by size, on values and not on shapes alone."""
    path = tmp_path / 'a.onnx'
    source = resize_model(path, sizes, version, **attributes)
    x = torch.rand(1, 2, 5, 6)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {'x': x.numpy()})
    model = load_model(source, device=CPU, capture_lock=threading.Lock())
    for _ in range(2):  # the second call runs the folded graph
        np.testing.assert_allclose(model(x)[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    'attributes',
    [
        {'mode': 'nearest'},
        {'mode': 'linear', 'coordinate_transformation_mode': 'asymmetric'},
        {'mode': 'linear', 'antialias': 1},
        {'mode': 'cubic', 'cubic_coeff_a': -0.5},
    ],
)
def test_resizes_that_torch_does_not_have_are_refused(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    """Rather than computed nearly right."""
    source = resize_model(tmp_path / 'a.onnx', False, 18, **attributes)
    with pytest.raises(ModelError, match='no equal in torch'):
        load_model(source, device=CPU, capture_lock=threading.Lock())


def network_file(path: Path, *shapes: list[Any]) -> ModelSource:
    """Write a network that returns its first input."""
    graph = helper.make_graph(
        [helper.make_node('Identity', ['x0'], ['y'])],
        'g',
        [
            helper.make_tensor_value_info(f'x{index}', TensorProto.FLOAT, shape)
            for index, shape in enumerate(shapes)
        ],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, list('nchw'))],
    )
    onnx.save(helper.make_model(graph), str(path))
    return ModelSource.parse(str(path))


def test_input_follows_file_and_wishes(tmp_path: Path) -> None:
    """Size of the file, else of the user, else the default; values of the normalisation."""
    stated = network_file(tmp_path / 'a.onnx', [1, 3, 96, 128])
    spec = depth_input(stated, None, fit=Fit.LETTERBOX_CENTER, normalization='symmetric')
    assert (spec.width, spec.height, spec.fit) == (128, 96, Fit.LETTERBOX_CENTER)
    free = network_file(tmp_path / 'b.onnx', ['N', 3, 'H', 'W'])
    assert depth_input(free, (70, 42)).shape(1, 1) == (1, 3, 42, 70)
    assert depth_input(free, None).shape(1, 1) == (1, 3, 448, 448)
    assert depth_input(free, None, channels='bgr').mean == (0.406, 0.456, 0.485)
    white = torch.full((3,), 255, dtype=torch.uint8)
    for name, value in (('unit', 1.0), ('symmetric', 1.0), ('bytes', 255.0), ('imagenet', 2.64)):
        spec = depth_input(free, (1, 1), normalization=name)  # type: ignore[arg-type]
        tensor = TorchTransform(CPU)(white, ImageFormat(1, 1, 'rgb8', 3), spec).tensor
        assert float(tensor[0, 2, 0, 0]) == pytest.approx(value, abs=1e-3)


def test_networks_of_other_inputs_are_refused(tmp_path: Path) -> None:
    """Two pictures, channels last, another size than the file's."""
    for index, shapes in enumerate(([[1, 3, 8, 8]] * 2, [[1, 8, 8, 3]], [[1, 3, 8]])):
        source = network_file(tmp_path / f'{index}.onnx', *shapes)
        with pytest.raises(ModelError, match='one picture'):
            depth_input(source, None)
    with pytest.raises(ModelError, match='128x96'):
        depth_input(network_file(tmp_path / 'a.onnx', [1, 3, 96, 128]), (64, 64))
