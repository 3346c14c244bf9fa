# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn onto a picture is where the box or the corner is, and nowhere else."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from gpu_components.overlay import draw_detections
from gpu_components.overlay import draw_lines
from gpu_runtime.errors import GpuPerceptionError
from gpu_runtime.image_format import ImageFormat

CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}
BOX = np.array([[60, 80, 140, 120]], np.float32)
SCORE = np.array([0.5], np.float32)


def drawn(layout: ImageFormat, boxes: Any, names: list[str]) -> Any:
    """Return what a grey picture became, (height, width, channels)."""
    data = grey(layout)
    draw_detections(data, layout, boxes, np.full(len(names), 0.5, np.float32), names)
    return pixels_of(data, layout)


def grey(layout: ImageFormat) -> Any:
    """Return the bytes of a grey picture, and some behind them."""
    return np.full(layout.nbytes + 7, 100, np.uint8)


def pixels_of(data: Any, layout: ImageFormat) -> Any:
    """Return the pixels of what was a grey picture, whose other bytes are as they were."""
    rows = data[: layout.nbytes].reshape(layout.height, layout.step)
    assert (rows[:, layout.row_nbytes :] == 100).all()
    assert (data[layout.nbytes :] == 100).all()
    return rows[:, : layout.row_nbytes].reshape(layout.height, layout.width, -1)


@pytest.mark.parametrize('encoding', list(CHANNELS))
@pytest.mark.parametrize('padding', [0, 5])
def test_a_box_is_drawn_in_every_encoding(encoding: str, padding: int) -> None:
    """Its corners change; the padding of the rows and what is far away do not."""
    layout = ImageFormat(200, 160, encoding, 200 * CHANNELS[encoding] + padding)
    pixels = drawn(layout, BOX, ['dog'])
    for row, column in ((80, 60), (80, 140), (120, 60), (120, 140)):
        assert (pixels[row, column] != 100).any()
    changed = (pixels != 100).any(axis=2)
    assert not changed[130:].any()
    assert not changed[:, :50].any()
    assert not changed[90:115, 70:130].any()


def test_a_name_has_one_colour() -> None:
    """Whatever else is in the picture; others have others."""
    layout = ImageFormat(200, 160, 'rgb8', 600)
    dog = drawn(layout, BOX, ['dog'])
    two = np.concatenate((np.array([[5, 140, 20, 150]], np.float32), BOX))
    both = drawn(layout, two, ['cat', 'dog'])
    assert (dog[120, 140] == both[120, 140]).all()
    assert (both[150, 20] != both[120, 140]).any()


def test_boxes_may_reach_beyond_the_picture() -> None:
    """They are cut off at its edge."""
    layout = ImageFormat(50, 40, 'bgr8', 150)
    boxes = np.array([[-500, -500, 500, 500], [-10, 5, 20, 20], [45, 35, 90, 90]], np.float32)
    pixels = drawn(layout, boxes, ['a', 'b', 'c'])
    assert (pixels != 100).any()


def test_nothing_found_draws_nothing() -> None:
    """The picture stays as it is."""
    layout = ImageFormat(50, 40, 'bgr8', 160)
    pixels = drawn(layout, np.zeros((0, 4), np.float32), [])
    assert (pixels == 100).all()


def test_arrays_of_different_lengths_are_refused() -> None:
    """Rather than cut to the shortest."""
    layout = ImageFormat(50, 40, 'bgr8', 150)
    with pytest.raises((ValueError, GpuPerceptionError)):
        draw_detections(np.zeros(6000, np.uint8), layout, BOX, SCORE, ['a', 'b'])


@pytest.mark.parametrize('encoding', list(CHANNELS))
@pytest.mark.parametrize('padding', [0, 5])
def test_lines_are_in_the_upper_left_corner(encoding: str, padding: int) -> None:
    """Black on white, one below the other; the rest of the picture does not change."""
    layout = ImageFormat(200, 160, encoding, 200 * CHANNELS[encoding] + padding)
    one, two = grey(layout), grey(layout)
    draw_lines(one, layout, [('dog', 0.5)])
    draw_lines(two, layout, [('dog', 0.5), ('cat', 0.25)])
    changed, more = ((pixels_of(d, layout) != 100).any(axis=2) for d in (one, two))
    lowest = int(changed.any(axis=1).nonzero()[0].max())
    width = int(changed[0].sum())
    assert changed[:lowest, 0].all()
    assert not changed[:, width:].any() and width < 150
    first = pixels_of(two, layout)[:lowest, :width]
    assert (first == pixels_of(one, layout)[:lowest, :width]).all()
    assert (first < 50).any() and (first == 255).any()
    assert lowest < int(more.any(axis=1).nonzero()[0].max()) < 60


def test_no_class_writes_nothing() -> None:
    """The picture stays as it is."""
    layout = ImageFormat(50, 40, 'bgr8', 160)
    data = grey(layout)
    draw_lines(data, layout, [])
    assert (pixels_of(data, layout) == 100).all()


@pytest.mark.parametrize(('left', 'cut'), [(-30, 'left'), (160, 'right')])
def test_a_name_at_the_edge_shows_the_rest_of_it(left: int, cut: str) -> None:
    """As in a wider picture at the same place."""
    layout, wide = ImageFormat(200, 160, 'rgb8', 605), ImageFormat(300, 160, 'rgb8', 900)
    box = np.array([[left, 80, left + 90, 120]], np.float32)
    shift = 50 if cut == 'left' else 0
    whole = drawn(wide, box + np.array([shift, 0, shift, 0], np.float32), ['traffic light'])
    pixels = drawn(layout, box, ['traffic light'])
    assert (pixels[:79] != 100).any()
    assert (pixels[:79] == whole[:79, shift : shift + 200]).all()


def test_a_name_below_the_picture_is_not_drawn() -> None:
    """Nor is one that lies beside it."""
    layout = ImageFormat(200, 160, 'mono8', 200)
    boxes = np.array([[20, 400, 60, 500], [300, 20, 400, 60], [-400, 20, -300, 60]], np.float32)
    assert (drawn(layout, boxes, ['below', 'right', 'left']) == 100).all()


def test_a_line_that_comes_again_keeps_the_interpreter_lock() -> None:
    """A thread that waits for the lock gets it when drawing ends, not between two lines."""
    layout = ImageFormat(640, 480, 'rgb8', 1920)
    data, lines = grey(layout), [(f'class number {number}', 0.5) for number in range(5)]
    draw_lines(data, layout, lines)
    gate, seen = threading.Lock(), []
    gate.acquire()

    def other() -> None:
        with gate:
            seen.append('other')

    thread = threading.Thread(target=other)
    thread.start()
    interval_s = sys.getswitchinterval()
    try:
        sys.setswitchinterval(30.0)
        gate.release()
        end_s = time.perf_counter() + 0.05
        while time.perf_counter() < end_s:  # the other thread asks for the lock meanwhile
            pass
        draw_lines(data, layout, lines)
        seen.append('drawn')
    finally:
        sys.setswitchinterval(interval_s)
    thread.join()
    assert seen == ['drawn', 'other']
