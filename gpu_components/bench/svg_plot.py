# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Line plots as SVG that stands alone: no script, no font, no file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
import math

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 30, 44
COLOURS = ('#0b6e4f', '#c1440e', '#3d5a98', '#8e5ea2', '#b08900', '#4a4a4a', '#2a9d8f', '#d1495b')
"""Apart in lightness too, so that they differ in grey."""

DASHES = ('', '6 3', '2 3', '8 3 2 3')

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """
    One axis.

    Parameters
    ----------
    label : str
        With the unit.
    log : bool
        Logarithmic; values of 0 and below are left out.

    """

    label: str
    log: bool = False

    def place(self, value: float) -> float:
        """
        Return the place of a value on the axis before it is scaled.

        Parameters
        ----------
        value : float
            In the axis's unit.

        Returns
        -------
        float
            The value, or its logarithm.

        """
        return math.log10(value) if self.log else value

    def ticks(self, low: float, high: float) -> list[float]:
        """
        Return round values within bounds.

        Parameters
        ----------
        low : float
            Smallest place.
        high : float
            Largest place.

        Returns
        -------
        list of float
            Values, not places.

        """
        if self.log:
            decades = range(math.floor(low), math.ceil(high) + 1)
            values = [m * 10.0**d for d in decades for m in (1, 2, 5)]
            return [v for v in values if low - 1e-9 <= math.log10(v) <= high + 1e-9]
        step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9) / 2))
        while (high - low) / step > 6:
            step *= 2
        first = math.ceil(low / step)
        return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def line_plot(title: str, x: Axis, y: Axis, lines: Mapping[str, Points]) -> str:
    """
    Return a plot of lines with a legend.

    Parameters
    ----------
    title : str
        Above it.
    x : Axis
        To the right.
    y : Axis
        Upwards.
    lines : Mapping of str to sequence of (float, float)
        Points by name, in the axes' units.

    Returns
    -------
    str
        An ``svg`` element; a sentence in its place if there is no point.

    """
    drawn = {
        name: [(x.place(a), y.place(b)) for a, b in points if _drawable(x, a) and _drawable(y, b)]
        for name, points in lines.items()
    }
    places = [place for points in drawn.values() for place in points]
    if not places:
        return f'<p>{escape(title)}: nothing was measured.</p>'
    x_low, x_high = _bounds([place[0] for place in places], x)
    y_low, y_high = _bounds([place[1] for place in places], y)

    def across(place: float) -> float:
        return LEFT + (place - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def up(place: float) -> float:
        return HEIGHT - BOTTOM - (place - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="18" class="title">{escape(title)}</text>']
    for value in x.ticks(x_low, x_high):
        at = across(x.place(value))
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}" class="mid">{value:g}</text>')
    for value in y.ticks(y_low, y_high):
        at = up(y.place(value))
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" class="end">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" class="mid">{escape(x.label)}</text>')
    parts.append(f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" class="mid">')
    parts.append(f'{escape(y.label)}</text>')
    for number, points in enumerate(drawn.values()):
        way = [f'{across(a):.1f} {up(b):.1f}' for a, b in points]
        style = _style(number)
        parts.append(f'<polyline points="{", ".join(way)}" {style}/>')
        if len(way) <= 30:
            dots = (place.split() for place in way)
            fill = COLOURS[number % len(COLOURS)]
            parts += [f'<circle cx="{a}" cy="{b}" r="2.5" fill="{fill}"/>' for a, b in dots]
    height = HEIGHT + 16 * len(drawn)
    for number, name in enumerate(drawn):
        at = HEIGHT + 16 * number + 8
        parts.append(f'<path d="M{LEFT} {at}h28" {_style(number)}/>')
        parts.append(f'<text x="{LEFT + 36}" y="{at + 4}">{escape(name)}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )


def _drawable(axis: Axis, value: float) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.log)


def _style(number: int) -> str:
    colour = COLOURS[number % len(COLOURS)]
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"'


def _bounds(places: list[float], axis: Axis) -> tuple[float, float]:
    low, high = min(places), max(places)
    if not axis.log:
        low = min(0.0, low)
    margin = (high - low) * 0.04 or 0.5
    return (low - margin if axis.log else low), high + margin
