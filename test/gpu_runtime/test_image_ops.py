# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Each operation against OpenCV's, the cameras that follow, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import torch

from gpu_runtime.camera_model import CameraModel
from gpu_runtime.errors import ModelError
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SpecMismatchError
from gpu_runtime.gpu_context import GpuContext
from gpu_runtime.header import Header
from gpu_runtime.image_format import ENCODINGS
from gpu_runtime.image_format import ImageFormat
from gpu_runtime.image_ops import ImageChain
from gpu_runtime.image_ops import OPERATIONS
from gpu_runtime.image_ops import parse_operations
from gpu_runtime.image_ops import Picture
from gpu_runtime.image_ops.parse import describe
from gpu_runtime.image_ops.rectify import rectify_positions

Pixels = npt.NDArray[np.uint8]
RGB: Pixels = np.ascontiguousarray(skimage.data.astronaut()[20:400, 30:510])
GREY: Pixels = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
NOISE: Pixels = np.random.default_rng(3).integers(0, 256, (61, 83, 3), dtype=np.uint8)
WIDTH, HEIGHT = 480, 380
# OpenCV 4 rounds positions to 1/32 px: 255 / 64 at the sharpest edge, in each direction.
REMAP_TOLERANCE = 1 if int(cv2.__version__.partition('.')[0]) >= 5 else 8
K = (400.0, 0.0, 238.0, 0.0, 405.0, 192.0, 0.0, 0.0, 1.0)
P = (360.0, 0.0, 241.0, 0.0, 0.0, 358.0, 188.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILT = tuple(cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0].reshape(-1).tolist())
LENSES = {
    'plumb_bob': (-0.28, 0.09, 0.001, -0.0007, -0.01),
    'rational_polynomial': (0.4, -0.2, 0.0005, -0.001, 0.02, 0.7, -0.15, 0.05),
    'equidistant': (-0.02, 0.008, -0.004, 0.0005),
}


@pytest.fixture(scope='module')
def context() -> Iterator[GpuContext]:
    """Own a device."""
    context = GpuContext('cpu')
    yield context
    assert context.close() == []


Apply = Callable[..., Picture]


@pytest.fixture
def apply(context: GpuContext) -> Apply:
    """Run a chain on a picture and return the resulting picture."""

    def run(
        pixels: Pixels, *texts: str, encoding: str = '', camera: CameraModel | None = None
    ) -> Picture:
        chain = ImageChain(parse_operations(texts), context)
        try:
            return chain(read(context, pixels, encoding, camera))
        finally:
            chain.close()

    return run


def read(
    context: GpuContext, pixels: Pixels, encoding: str = '', camera: CameraModel | None = None
) -> Picture:
    """Return pixels as a picture, rows padded as a driver may do."""
    encoding = encoding or ('mono8' if pixels.ndim == 2 else 'rgb8')
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, 5)), constant_values=0xAB)
    format = ImageFormat(width, height, encoding, rows.shape[1])
    frame = context.frame(Header(1, 'camera'), format, np.ascontiguousarray(rows))
    stream = context.streams.lease('test')
    try:
        with stream:
            return Picture.of(frame, stream, camera)
    finally:
        context.streams.release(stream)


def written(picture: Picture) -> Pixels:
    """Return a picture as OpenCV has it: (H, W) grey or (H, W, C)."""
    pixels = picture.pixels().numpy()
    assert pixels.nbytes == picture.format.nbytes
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def difference(picture: Picture, expected: Any) -> tuple[float, float]:
    """Return largest and mean difference, of 255."""
    got = written(picture)
    assert got.shape == expected.shape
    error = np.abs(got.astype(np.int64) - expected.astype(np.int64))
    return float(error.max()), float(error.mean())


def camera_of(lens: str = 'plumb_bob', *, r: Any = TILT, p: Any = P) -> CameraModel:
    """Return a camera that was calibrated at the size of the photograph."""
    return CameraModel(WIDTH, HEIGHT, 'camera', lens, LENSES[lens], K, r, p)


def matrix(values: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return nine or twelve entries as three rows."""
    return np.array(values).reshape(3, -1)


def on_luma(change: Callable[[Pixels], Pixels], rgb: Pixels) -> Pixels:
    """Return a picture with its luma changed the way OpenCV's users do it."""
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    planes[:, :, 0] = change(planes[:, :, 0])
    return cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB)


def gamma_table(value: float) -> Pixels:
    """Return the table that cv2.LUT takes."""
    return np.rint((np.arange(256) / 255.0) ** value * 255.0).astype(np.uint8)


def clahe(limit: float, tiles: tuple[int, int]) -> Callable[[Pixels], Pixels]:
    """Return OpenCV's."""
    return cv2.createCLAHE(limit, tiles).apply


# Operation, OpenCV's version of it, and the tolerance: largest difference of 255.
EXACT_AS_OPENCV: list[tuple[str, Callable[[Pixels], Pixels], int]] = [
    ('resize width=320 height=200', lambda x: cv2.resize(x, (320, 200)), 1),
    ('resize width=701 height=555', lambda x: cv2.resize(x, (701, 555)), 1),
    (
        'resize width=300 height=222 interpolation=nearest',
        lambda x: cv2.resize(x, (300, 222), interpolation=cv2.INTER_NEAREST),
        0,
    ),
    (
        'resize width=70 height=37 interpolation=area',
        lambda x: cv2.resize(x, (70, 37), interpolation=cv2.INTER_AREA),
        1,
    ),
    (
        'resize width=600 height=222 interpolation=cubic',
        lambda x: cv2.resize(x, (600, 222), interpolation=cv2.INTER_CUBIC),
        1,
    ),
    ('crop x=7 y=9 width=40 height=31', lambda x: x[9:40, 7:47], 0),
    ('crop x=7 y=9', lambda x: x[9:, 7:], 0),
    ('flip', lambda x: cv2.flip(x, 1), 0),
    ('flip axis=vertical', lambda x: cv2.flip(x, 0), 0),
    ('flip axis=both', lambda x: cv2.flip(x, -1), 0),
    ('rotate angle=90', lambda x: cv2.rotate(x, cv2.ROTATE_90_COUNTERCLOCKWISE), 0),
    ('rotate angle=-90', lambda x: cv2.rotate(x, cv2.ROTATE_90_CLOCKWISE), 0),
    ('rotate angle=180', lambda x: cv2.rotate(x, cv2.ROTATE_180), 0),
    ('rotate angle=360', lambda x: x, 0),
    ('gaussian_blur sigma=0.6', lambda x: cv2.GaussianBlur(x, (0, 0), 0.6), 1),
    ('gaussian_blur sigma=1.5', lambda x: cv2.GaussianBlur(x, (0, 0), 1.5), 1),
    ('gaussian_blur sigma=7', lambda x: cv2.GaussianBlur(x, (0, 0), 7), 1),
    ('median', lambda x: cv2.medianBlur(x, 3), 0),
    ('median size=5', lambda x: cv2.medianBlur(x, 5), 0),
    (
        'sharpen amount=1.5 sigma=2',
        lambda x: cv2.addWeighted(x, 2.5, cv2.GaussianBlur(x, (0, 0), 2), -1.5, 0),
        3,
    ),
    ('gamma value=0.7', lambda x: cv2.LUT(x, gamma_table(0.7)), 1),
    ('gamma value=2.2', lambda x: cv2.LUT(x, gamma_table(2.2)), 1),
    (
        'brightness_contrast brightness=-20 contrast=1.4',
        lambda x: cv2.addWeighted(x, 1.4, x, 0, -20),
        1,
    ),
]
ON_LUMA: list[tuple[str, Callable[[Pixels], Pixels]]] = [
    ('equalize', cv2.equalizeHist),
    ('clahe', clahe(2.0, (8, 8))),
    ('clahe clip_limit=40 tiles_x=6 tiles_y=4', clahe(40.0, (6, 4))),
    ('clahe clip_limit=3.3 tiles_x=7 tiles_y=5', clahe(3.3, (7, 5))),
]


@pytest.mark.parametrize(
    ('text', 'reference', 'tolerance'), EXACT_AS_OPENCV, ids=[c[0] for c in EXACT_AS_OPENCV]
)
@pytest.mark.parametrize('pixels', [RGB, GREY, NOISE], ids=['rgb', 'grey', 'noise'])
def test_as_opencv(
    apply: Apply, pixels: Pixels, text: str, reference: Any, tolerance: int
) -> None:
    """Colour, grey and noise, within the tolerance of the table."""
    largest, mean = difference(apply(pixels, text), reference(pixels))
    print(f'{text}: at most {largest:g}, on average {mean:.4f} of 255')
    assert largest <= tolerance


@pytest.mark.parametrize(('text', 'reference'), ON_LUMA, ids=[c[0] for c in ON_LUMA])
def test_histograms_as_opencv(apply: Apply, text: str, reference: Any) -> None:
    """Grey within 1; colour within 6, since OpenCV rounds Y, Cr and Cb to 8 bits."""
    for grey in (GREY, NOISE[:, :, 0].copy()):
        largest, _ = difference(apply(grey, text), reference(grey))
        assert largest <= 1
    largest, mean = difference(apply(RGB, text), on_luma(reference, RGB))
    print(f'{text}: colour at most {largest:g}, on average {mean:.3f} of 255')
    assert largest <= 6
    assert mean < 1.0


@pytest.mark.parametrize('value', [0, 77, 255])
def test_equalize_leaves_a_picture_of_one_value(apply: Apply, value: int) -> None:
    """As OpenCV does: there is nothing to spread."""
    flat = np.full((20, 30), value, np.uint8)
    assert difference(apply(flat, 'equalize'), cv2.equalizeHist(flat))[0] == 0


@pytest.mark.parametrize('angle', [17.0, -133.3])
def test_rotation_by_any_angle_as_opencv(apply: Apply, angle: float) -> None:
    """Within 1."""
    around = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    turn = cv2.getRotationMatrix2D(around, angle, 1.0)
    expected = cv2.warpAffine(RGB, turn, (WIDTH, HEIGHT))
    result = apply(RGB, f'rotate angle={angle}', camera=camera_of())
    largest, mean = difference(result, expected)
    print(f'rotate {angle}: at most {largest:g}, on average {mean:.3f} of 255')
    assert largest <= REMAP_TOLERANCE
    assert mean < 0.5
    assert result.camera is not None
    moved = np.vstack((turn, (0, 0, 1))) @ matrix(P)
    assert np.allclose(matrix(result.camera.p), moved)


def opencv_maps(camera: CameraModel) -> tuple[Any, Any]:
    """Return what OpenCV computes for a camera."""
    size = (camera.width, camera.height)
    k, d, r, p = matrix(camera.k), np.array(camera.d), matrix(camera.r), matrix(camera.p)[:, :3]
    if camera.distortion_model == 'equidistant':
        return cv2.fisheye.initUndistortRectifyMap(k, d, r, p, size, cv2.CV_32FC1)
    return cv2.initUndistortRectifyMap(k, d, r, p, size, cv2.CV_32FC1)


@pytest.mark.parametrize('lens', LENSES)
def test_rectify_as_opencv(context: GpuContext, apply: Apply, lens: str) -> None:
    """Positions within 0.001 px, pictures within 1."""
    camera = camera_of(lens)
    columns, rows = opencv_maps(camera)
    positions = rectify_positions(read(context, RGB), camera).numpy()
    assert np.abs(positions[:, :, 0] - columns).max() < 1e-3
    assert np.abs(positions[:, :, 1] - rows).max() < 1e-3
    result = apply(RGB, 'rectify', camera=camera)
    expected = cv2.remap(RGB, columns, rows, cv2.INTER_LINEAR)
    largest, mean = difference(result, expected)
    print(f'rectify {lens}: at most {largest:g}, on average {mean:.3f} of 255')
    assert np.abs(RGB.astype(int) - expected).mean() > 5  # there was something to rectify
    assert largest <= REMAP_TOLERANCE
    assert mean < 0.5
    assert result.camera is not None
    assert result.camera.distortion_model == 'plumb_bob'
    assert not any(result.camera.d)
    assert result.camera.p == P
    assert result.camera.k == (*P[:3], *P[4:7], *P[8:11])
    assert np.allclose(matrix(result.camera.r), np.eye(3))


def test_rectified_twice_is_rectified_once(apply: Apply) -> None:
    """The camera that comes with a rectified picture says that nothing is left to do."""
    once = apply(RGB, 'rectify', camera=camera_of('equidistant'))
    again = apply(written(once), 'rectify', camera=once.camera)
    assert difference(again, written(once))[0] <= 1


def test_rectify_without_projection_keeps_k(apply: Apply) -> None:
    """Monocular drivers that never rectify leave P zero."""
    camera = camera_of(p=(0.0,) * 12)
    result = apply(RGB, 'rectify', camera=camera)
    columns, rows = cv2.initUndistortRectifyMap(
        matrix(K), np.array(camera.d), matrix(TILT), matrix(K), (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    assert difference(result, cv2.remap(RGB, columns, rows, cv2.INTER_LINEAR))[1] < 0.5
    assert result.camera is not None
    assert result.camera.k == K
    assert result.camera.p[:3] == K[:3]


def test_rectify_maps_are_computed_once_per_camera(context: GpuContext) -> None:
    """Counted: a map per camera and size, kept while it is in use."""
    calls = []
    step = OPERATIONS['rectify']().step(context)
    positions = step._positions  # type: ignore[attr-defined]

    def counted(picture: Picture) -> Any:
        calls.append(picture.camera)
        return positions(picture)

    step._positions = counted  # type: ignore[attr-defined]
    one, other = camera_of(), camera_of('equidistant')
    for camera in (one, one, other, one, other):
        step(read(context, RGB, camera=camera))
    assert calls == [one, other]


@pytest.mark.parametrize(
    'text',
    [
        'resize width=240 height=95',
        'crop x=30 y=40 width=300 height=250',
        'flip',
        'flip axis=vertical',
        'flip axis=both',
        *(f'rotate angle={angle}' for angle in (0, 90, 180, 270, -90, 33)),
    ],
)
def test_camera_follows_the_picture(apply: Apply, text: str) -> None:
    """A point in space is projected onto the pixel that shows it: a white spot is followed."""
    point = np.array([0.11, 0.07, 1.0, 1.0])
    before = matrix(P) @ point
    x, y = before[:2] / before[2]
    spot = np.exp(
        -((np.arange(WIDTH) - x) ** 2)[None] / 18 - (np.arange(HEIGHT) - y)[:, None] ** 2 / 18
    )
    result = apply(np.rint(spot * 255).astype(np.uint8), text, camera=camera_of())
    camera, values = result.camera, written(result).astype(float)
    assert camera is not None
    assert (camera.width, camera.height) == (result.width, result.height)
    after = matrix(camera.p) @ point
    rows, columns = np.indices(values.shape)
    seen = np.array([(values * columns).sum(), (values * rows).sum()]) / values.sum()
    assert np.abs(after[:2] / after[2] - seen).max() < 0.05
    assert camera.d == camera_of().d
    assert camera.frame_id == 'camera'
    pixels_moved = matrix(camera.p)[:, :3] @ np.linalg.inv(matrix(P)[:, :3])
    assert np.allclose(matrix(camera.k), pixels_moved @ matrix(K))


def test_camera_of_another_size(context: GpuContext) -> None:
    """Binning keeps the aspect and scales; another aspect is no calibration of this picture."""
    binned = read(context, RGB[::2, ::2].copy(), camera=camera_of())
    assert binned.camera == camera_of().scaled(WIDTH // 2, HEIGHT // 2)
    assert read(context, RGB[:100].copy(), camera=camera_of()).camera is None


CODES = {'bgr8': cv2.COLOR_RGB2BGR, 'rgba8': cv2.COLOR_RGB2RGBA, 'bgra8': cv2.COLOR_RGB2BGRA}


def as_encoding(encoding: str) -> Pixels:
    """Return the photograph in an encoding, as OpenCV makes it."""
    if encoding == 'mono8':
        return GREY
    return RGB if encoding == 'rgb8' else cv2.cvtColor(RGB, CODES[encoding])


@pytest.mark.parametrize('source', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
@pytest.mark.parametrize('target', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_convert_as_opencv(apply: Apply, source: str, target: str) -> None:
    """Every encoding into every other; grey within 1."""
    result = apply(as_encoding(source), f'convert encoding={target}', encoding=source)
    assert result.encoding == target
    expected = as_encoding(target)
    if source == 'mono8' and target != 'mono8':
        expected = np.repeat(GREY[:, :, None], ENCODINGS[target].channels, axis=2)
        expected[:, :, 3:] = 255
    assert difference(result, expected)[0] <= (1 if target == 'mono8' else 0)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_encoding_is_kept_without_convert(apply: Apply, encoding: str) -> None:
    """A chain works on what it gets and gives the same back."""
    pixels = as_encoding(encoding)
    result = apply(pixels, 'flip', encoding=encoding)
    assert result.encoding == encoding
    assert difference(result, cv2.flip(pixels, 1))[0] == 0


def test_chain_rounds_once(apply: Apply) -> None:
    """Dark by 4 and bright by 4 loses nothing, as 8 bits in between would."""
    dark = 'brightness_contrast contrast=0.25'
    assert difference(apply(RGB, dark, 'brightness_contrast contrast=4'), RGB)[0] == 0


def test_chain_does_not_touch_its_input(context: GpuContext) -> None:
    """Other stages share the planes that a chain reads."""
    chain = (
        *('rectify', 'resize width=300', 'crop x=5 y=5 width=200 height=190', 'flip'),
        *('rotate angle=90', 'rotate angle=5', 'gaussian_blur', 'median', 'sharpen'),
        *('gamma value=2', 'brightness_contrast brightness=9', 'equalize', 'clahe'),
        'convert encoding=bgra8',
    )
    picture = read(context, RGB, camera=camera_of())
    before = picture.planes.clone()
    result = ImageChain(parse_operations(chain), context)(picture)
    assert result.pixels().shape == (200, 190, 4)
    for operation in parse_operations(chain):
        operation.step(context)(picture).pixels()
    assert torch.equal(picture.planes, before)


class Doubled(torch.nn.Module):
    """An image-to-image network that inverts, twice as large."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the negative."""
        return torch.nn.functional.interpolate(1.0 - image, scale_factor=2, mode='nearest')


class Luma(torch.nn.Module):
    """An image-to-image network that gives grey."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return one channel."""
        return image.mean(dim=1, keepdim=True)


def exported(module: torch.nn.Module, path: Path, *shape: int) -> str:
    """Write a network as torch.export does."""
    torch.export.save(torch.export.export(module, (torch.zeros(shape),)), path)
    return str(path)


def test_model_runs_at_the_size_of_the_picture(apply: Apply, tmp_path: Path) -> None:
    """A network that enlarges gives a larger picture and a camera that fits it."""
    source = exported(Doubled(), tmp_path / 'double.pt2', 1, 3, HEIGHT, WIDTH)
    text = f'model source={source} width={WIDTH} height={HEIGHT}'
    result = apply(RGB, text, camera=camera_of())
    expected = 255 - RGB.repeat(2, axis=0).repeat(2, axis=1)
    assert difference(result, expected)[0] <= 1
    assert result.camera == camera_of().scaled(2 * WIDTH, 2 * HEIGHT)


def test_model_of_a_fixed_size_gives_the_pictures_size(apply: Apply, tmp_path: Path) -> None:
    """In is resized, out is resized back; grey out makes the picture grey."""
    source = exported(Luma(), tmp_path / 'luma.pt2', 1, 3, 96, 64)
    result = apply(RGB, f'model source={source} width=64 height=96', 'flip')
    assert (result.width, result.height, result.encoding) == (WIDTH, HEIGHT, 'mono8')
    small = cv2.resize(RGB, (64, 96)).mean(axis=2)
    expected = cv2.flip(cv2.resize(small, (WIDTH, HEIGHT)), 1)
    assert difference(result, np.rint(expected))[0] <= 2


def test_model_that_gives_no_picture(apply: Apply, tmp_path: Path) -> None:
    """Said when it runs, since only then it is known."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    source = exported(module, tmp_path / 'vector.pt2', 1, 3, 8, 8)
    with pytest.raises(ModelError, match=r'returned \(1, 3\); expected a picture'):
        apply(RGB, f'model source={source} width=8 height=8')


def test_chain_releases_networks_when_a_later_one_fails(
    context: GpuContext, tmp_path: Path
) -> None:
    """Nothing half built stays."""
    good = exported(Luma(), tmp_path / 'luma.pt2', 1, 3, 8, 8)
    texts = (f'model source={good} width=8 height=8', f'model source={tmp_path}/missing.onnx')
    with pytest.raises(ModelError, match='does not exist'):
        ImageChain(parse_operations(texts), context)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('gausian_blur', r"'gausian_blur' is unknown; .*did you mean gaussian_blur\?"),
        ('gaussian_blur sgima=2', r"argument 'sgima' is unknown; .*did you mean sigma\?"),
        ('rectify alpha=1', r"argument 'alpha' is unknown; expected none"),
        ('gaussian_blur sigma=0', r'sigma is 0.0; expected 0.1 to 50 px'),
        ('gaussian_blur sigma=nan', r'sigma is nan; expected 0.1 to 50 px'),
        ('gaussian_blur sigma=big', r"sigma is 'big'; expected a number"),
        ('resize width=3.5', r"width is '3.5'; expected a whole number"),
        ('resize', 'give width, height or both'),
        ('resize width = 3', r"got 'width'; expected ARGUMENT=VALUE"),
        ('gamma', r'gamma needs value; write gamma value= \(0.05 to 20\)'),
        ('median size=4', r'size is 4; expected one of 3, 5'),
        ('flip axis=sideways', 'axis is sideways; expected one of horizontal, vertical, both'),
        ('convert encoding=yuv422', 'encoding is yuv422; expected one of rgb8'),
        ('model source="a b', r'No closing quotation; close the quotes'),
        ('model source=a.onnx width=3', r'input size 3x0: set both or neither'),
        ('  ', 'an entry is empty; expected one of rectify, resize'),
    ],
)
def test_refused(text: str, words: str) -> None:
    """With what was expected, what was got and what to do."""
    with pytest.raises(ParameterError, match=words):
        parse_operations([text])


@pytest.mark.parametrize(
    ('text', 'camera', 'words'),
    [
        ('crop x=400 width=90', None, 'leaves the picture of 480x380 px'),
        ('crop y=380', None, 'leaves the picture'),
        ('rectify', None, 'got none: publish camera_info'),
        ('rectify', CameraModel(WIDTH, HEIGHT, k=(0.0,) * 9), 'K is zero'),
        ('rectify', CameraModel(WIDTH, HEIGHT, k=K), "distortion model '' is not known"),
        (
            'rectify',
            CameraModel(WIDTH, HEIGHT, 'c', 'plumb_bob', (0.1, 0.2), K, p=P),
            'with the 2 coefficients .*expected 4 or 5',
        ),
    ],
)
def test_picture_refused(apply: Apply, text: str, camera: CameraModel | None, words: str) -> None:
    """What does not fit a picture costs that picture only."""
    with pytest.raises(SpecMismatchError, match=words):
        apply(RGB, text, camera=camera)


def test_small_picture_refused(apply: Apply) -> None:
    """Where mirroring at the border is impossible."""
    tiny = NOISE[:4, :4].copy()
    with pytest.raises(SpecMismatchError, match='set a smaller sigma'):
        apply(tiny, 'gaussian_blur sigma=2')
    with pytest.raises(SpecMismatchError, match='set fewer tiles'):
        apply(tiny, 'clahe tiles_x=9')
    assert difference(apply(tiny, 'median size=5'), cv2.medianBlur(tiny, 5))[0] == 0


def test_every_operation_says_how_it_is_written() -> None:
    """With defaults, units and legal values; the names are those of the parameter."""
    assert describe(OPERATIONS['median']) == 'median size=3 (one of 3, 5)'
    assert len(OPERATIONS) == 14
    for name, cls in OPERATIONS.items():
        assert cls.name == name
        assert describe(cls).startswith(name)


def test_values_with_blanks_are_quoted() -> None:
    """Paths may contain anything."""
    (operation,) = parse_operations(['model source="/a b/c=d.onnx" precision=fp32'])
    assert operation.source == '/a b/c=d.onnx'  # type: ignore[attr-defined]
