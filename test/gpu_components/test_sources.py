# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What the cameras inside the process deliver: the right pictures, in the right order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from probe import Host
from probe import set_parameter
import pytest

from gpu_components.sources.image_folder_source import ImageFolderSource
from gpu_components.sources.image_folder_source import ImageFolderSourceParameters
from gpu_components.sources.photo_camera import PhotoCamera
from gpu_components.sources.photo_camera import PhotoCameraParameters
from gpu_components.sources.photo_walk import view_origin
from gpu_components.sources.picture_file import read_picture
from gpu_components.sources.picture_files import pictures_in
from gpu_components.sources.source import Source
from gpu_components.sources.source_parameters import SourceParameters
from gpu_components.sources.video_source import VideoSource
from gpu_components.sources.video_source import VideoSourceParameters
from gpu_runtime.errors import ParameterError
from gpu_runtime.errors import SourceError

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def opened(host: Host, cls: type[Source[Any, Any]], params: SourceParameters) -> Any:
    """Return a source as the framework has it before the first read."""
    source = cls(host.gpu, host.ingress_node.get_logger(), lambda topic: True)
    source.check(params)
    source.params = params
    source.prepared = source.prepare(params)
    return source


def plain(colour: tuple[int, int, int], width: int = 16, height: int = 12) -> Any:
    """Return a picture of one colour, in BGR."""
    return np.full((height, width, 3), colour, np.uint8)


# Folders -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of three pictures, a broken one and a text, written out of order."""
    cv2.imwrite(str(tmp_path / 'c.BMP'), plain(BLUE))
    cv2.imwrite(str(tmp_path / 'a.png'), plain(RED))
    (tmp_path / 'b.png').write_bytes(b'no picture')
    cv2.imwrite(str(tmp_path / 'd.png'), plain(GREEN, 20, 10))
    (tmp_path / 'notes.txt').write_text('not a picture either')
    return tmp_path


def test_folder_in_the_order_of_names(host: Host, folder: Path) -> None:
    """BGR of each file's own size; the broken one raises and the next read goes on."""
    params = ImageFolderSourceParameters(folder=str(folder), loop=False)
    source = opened(host, ImageFolderSource, params)
    assert (source.read() == plain(RED)).all()
    with pytest.raises(SourceError, match=r'b\.png'):
        source.read()
    assert (source.read() == plain(BLUE)).all()
    assert (source.read() == plain(GREEN, 20, 10)).all()
    assert source.read() is None
    assert source.read() is None


def test_folder_begins_again(host: Host, folder: Path) -> None:
    """With ``loop``, after the last picture."""
    (folder / 'b.png').unlink()
    source = opened(host, ImageFolderSource, ImageFolderSourceParameters(folder=str(folder)))
    corners = [tuple(source.read()[0, 0].tolist()) for _ in range(7)]
    assert corners == [RED, BLUE, GREEN, RED, BLUE, GREEN, RED]


def test_folder_on_the_bus(host: Host, folder: Path) -> None:
    """The broken file is counted, and costs itself only."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=10)
    host.load(ImageFolderSource, 'cam', folder=str(folder), loop=False, rate_hz=200.0)
    sizes = [(f.format.width, f.format.height) for f in (frames.take(5.0) for _ in 'abc') if f]
    assert sizes == [(16, 12), (16, 12), (20, 10)]
    assert host.count('dropped_error', '/cam') == 1
    assert 'b.png' in host.metrics('/cam').error


@pytest.mark.parametrize('name', ['', '/no/such/folder', 'file', 'empty'])
def test_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever is wrong with it, by its name."""
    (tmp_path / 'file').write_text('')
    (tmp_path / 'empty').mkdir()
    path = str(tmp_path / name) if name in ('file', 'empty') else name
    with pytest.raises(SourceError, match=path or 'folder'):
        pictures_in(path)


def test_folder_of_a_package() -> None:
    """By its ``package://`` name."""
    names = [path.name for path in pictures_in('package://skimage/data')]
    assert 'astronaut.png' in names
    assert names == sorted(names)


def test_a_new_folder_is_swapped_in(host: Host, folder: Path, tmp_path: Path) -> None:
    """While it runs; a folder without pictures is refused and the old one goes on."""
    other = tmp_path / 'other'
    other.mkdir()
    cv2.imwrite(str(other / 'x.png'), plain(GREEN, 30, 30))
    frames = host.gpu.bus.subscribe('/image_raw', 'test')
    node = host.load(ImageFolderSource, 'cam', folder=str(folder), rate_hz=200.0)
    assert not set_parameter(node, 'folder', str(tmp_path / 'missing')).successful
    first = frames.take(5.0)
    assert first is not None and first.format.width != 30
    assert set_parameter(node, 'folder', str(other)).successful
    widths = [frame.format.width for frame in (frames.take(5.0) for _ in range(5)) if frame]
    assert widths[2:] == [30, 30, 30]


# Photographs -------------------------------------------------------------------------------


def test_view_goes_to_and_fro() -> None:
    """At constant speed, between 0 and the room there is."""
    assert [view_origin(i, 4, 10) for i in range(7)] == [0, 4, 8, 8, 4, 0, 4]
    assert [view_origin(i, 5, 0) for i in range(3)] == [0, 0, 0]
    assert view_origin(3, 5, -2) == 0
    assert all(0 <= view_origin(i, 7, 31) <= 31 for i in range(200))


@pytest.fixture
def gradient(tmp_path: Path) -> Path:
    """Write a picture that tells column and row in its first two channels."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[..., 0] = np.arange(100)
    pixels[..., 1] = np.arange(60)[:, None]
    path = tmp_path / 'gradient.png'
    cv2.imwrite(str(path), pixels)
    return path


def test_photo_camera_moves_as_told(host: Host, gradient: Path) -> None:
    """Each view is the crop at the origin that :func:`view_origin` gives."""
    params = PhotoCameraParameters(photos=(str(gradient),), width=40, height=30, step_px=7)
    camera = opened(host, PhotoCamera, params)
    for index in range(20):
        view = camera.read()
        assert view.shape == (30, 40, 3)
        assert view.flags['C_CONTIGUOUS']
        assert view[0, 0, 0] == view_origin(index, 7, 100 - 40)
        assert view[0, 0, 1] == view_origin(index, 7, 60 - 30)
        assert (view[-1, -1, :2] - view[0, 0, :2]).tolist() == [39, 29]


@pytest.mark.parametrize(
    ('asked', 'given'),
    [((0, 0), (100, 60)), ((50, 0), (50, 60)), ((0, 20), (100, 20)), ((333, 77), (333, 77))],
)
def test_photo_camera_sizes(
    host: Host, gradient: Path, asked: tuple[int, int], given: tuple[int, int]
) -> None:
    """0 takes the photograph's side; one that is too small is enlarged in proportion."""
    params = PhotoCameraParameters(photos=(str(gradient),), width=asked[0], height=asked[1])
    camera = opened(host, PhotoCamera, params)
    for _ in range(10):
        assert camera.read().shape == (given[1], given[0], 3)


def test_photo_camera_takes_one_photo_after_the_other(
    host: Host, gradient: Path, tmp_path: Path
) -> None:
    """So many pictures of each; then the end, or the first again."""
    plain_path = tmp_path / 'plain.png'
    cv2.imwrite(str(plain_path), plain(RED))
    params = PhotoCameraParameters(
        photos=(str(gradient), str(plain_path)), pictures_per_photo=2, loop=False
    )
    camera = opened(host, PhotoCamera, params)
    assert [camera.read().shape[1] for _ in range(4)] == [100, 100, 16, 16]
    assert camera.read() is None
    endless = PhotoCameraParameters(photos=params.photos, pictures_per_photo=1)
    camera = opened(host, PhotoCamera, endless)
    assert [camera.read().shape[1] for _ in range(5)] == [100, 16, 100, 16, 100]


def test_photo_camera_refuses_what_is_not_there(host: Host, tmp_path: Path) -> None:
    """An empty list and an unknown package at once, a broken file when it is prepared."""
    with pytest.raises(ParameterError, match='at least one path'):
        opened(host, PhotoCamera, PhotoCameraParameters(photos=()))
    with pytest.raises(ParameterError, match='nowhere'):
        opened(host, PhotoCamera, PhotoCameraParameters(photos=('package://nowhere/a.png',)))
    with pytest.raises(SourceError, match=r'missing\.png'):
        photos = (str(tmp_path / 'missing.png'),)
        opened(host, PhotoCamera, PhotoCameraParameters(photos=photos))


@pytest.mark.parametrize('name', ['grey.png', 'alpha.png', 'photo.jpg', 'deep.tiff'])
def test_every_picture_is_read_as_eight_bit_bgr(tmp_path: Path, name: str) -> None:
    """Grey, with alpha, compressed or of 16 bits: always uint8 (height, width, 3)."""
    path = str(tmp_path / name)
    pixels = {
        'grey.png': np.full((9, 7), 100, np.uint8),
        'alpha.png': np.full((9, 7, 4), 100, np.uint8),
        'photo.jpg': np.full((9, 7, 3), 100, np.uint8),
        'deep.tiff': np.full((9, 7), 100 * 257, np.uint16),
    }[name]
    cv2.imwrite(path, pixels)
    picture = read_picture(path)
    assert (picture.shape, picture.dtype) == ((9, 7, 3), np.uint8)
    assert abs(picture.astype(int) - 100).max() <= 1


# Videos ------------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Write a video of five pictures, each brighter than the last."""
    path = tmp_path / 'tiny.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, (64, 48))
    assert writer.isOpened()
    for level in range(5):
        writer.write(plain((40 * level,) * 3, 64, 48))
    writer.release()
    return path


def levels(source: Any, count: int) -> list[int]:
    """Read pictures and return which of the five each one is."""
    return [round(float(source.read().mean()) / 40) for _ in range(count)]


def test_video_from_beginning_to_end(host: Host, video: Path) -> None:
    """Every picture once, then None."""
    source = opened(host, VideoSource, VideoSourceParameters(video=str(video), loop=False))
    assert levels(source, 5) == [0, 1, 2, 3, 4]
    assert source.read() is None
    source.prepared.close()


def test_video_begins_again(host: Host, video: Path) -> None:
    """With ``loop``, without a gap."""
    source = opened(host, VideoSource, VideoSourceParameters(video=str(video)))
    assert levels(source, 12) == [0, 1, 2, 3, 4] * 2 + [0, 1]
    source.prepared.close()


@pytest.mark.parametrize('name', ['', '/no/such/video.mp4', 'package://skimage/none.mp4'])
def test_missing_video_is_refused_before_it_is_opened(host: Host, name: str) -> None:
    """While the request waits, by its name."""
    source = VideoSource(host.gpu, host.ingress_node.get_logger(), lambda topic: True)
    with pytest.raises((SourceError, ParameterError), match=name or 'does not exist'):
        source.check(VideoSourceParameters(video=name))


def test_file_that_is_no_video_is_refused(host: Host, tmp_path: Path) -> None:
    """When it is prepared, by its name."""
    path = tmp_path / 'broken.avi'
    path.write_bytes(b'no video' * 100)
    with pytest.raises(SourceError, match=r'broken\.avi'):
        opened(host, VideoSource, VideoSourceParameters(video=str(path)))


def test_video_on_the_bus(host: Host, video: Path) -> None:
    """At its rate; the file is given back when the component goes."""
    frames = host.gpu.bus.subscribe('/image_raw', 'test', depth=10)
    node = host.load(VideoSource, 'cam', video=str(video), loop=False, rate_hz=100.0)
    taken = [frames.take(5.0) for _ in range(5)]
    assert [f is not None and f.format.width == 64 for f in taken] == [True] * 5
    capture = node.component.prepared._capture
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert not capture.isOpened()


@pytest.mark.shared
def test_video_of_a_real_camera(host: Host, shared_dir: Path) -> None:
    """A surveillance video of 768x576 px: pictures with contents, which move."""
    path = shared_dir / 'data' / 'video' / 'vtest.avi'
    source = opened(host, VideoSource, VideoSourceParameters(video=str(path)))
    first = source.read().copy()
    assert (first.shape, first.dtype) == ((576, 768, 3), np.uint8)
    assert first.std() > 20
    later = [source.read().copy() for _ in range(10)][-1]
    assert 0.5 < np.abs(later.astype(int) - first).mean() < 20
    source.prepared.close()
