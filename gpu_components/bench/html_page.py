# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page that needs nothing else: tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from html import escape
from typing import Any

from gpu_components.bench.record_rows import COLUMNS
from gpu_components.bench.record_rows import contender
from gpu_components.bench.record_rows import COST_COLUMNS
from gpu_components.bench.record_rows import costs
from gpu_components.bench.record_rows import rows
from gpu_components.bench.svg_plot import Axis
from gpu_components.bench.svg_plot import line_plot
from gpu_components.bench.svg_plot import Points

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1240px; color: #222;
  background: #fff; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.2rem }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, td.text { text-align: left }
h2 { margin-top: 2.5rem; border-bottom: 2px solid #222 }
.plots { display: flex; flex-wrap: wrap; gap: 1rem }
svg { max-width: 100%; height: auto }
svg text { font: 12px system-ui, sans-serif; fill: #333 }
svg .title { font-weight: 600; font-size: 13px }
svg .mid { text-anchor: middle }
svg .end { text-anchor: end }
svg .grid { stroke: #e4e4e4; fill: none }
small { color: #555 }
"""

NOTES = """
<p>Latency runs from the stamp of a picture, taken right before it is published, to the arrival of
its result in a third process: transport in, upload, computation, download and transport out are
all inside, for every message. A rate is the peak if at most {loss:.0%} of the pictures is
missing on the worst output, in {repeats} probes of {seconds:g} s each; <i>limit</i> tells what is
above it: <i>lost</i> pictures, a <i>publisher</i> that cannot play faster, or <i>highest</i>, no
higher rate tried. Networks have random weights, the same for everybody: the cost is that of
trained ones, the answers mean nothing. {device}</p>
"""

ON_CPU = """<b>Measured on a CPU: these figures show that everything works. They say nothing about
a machine with a GPU, and little about any other CPU.</b>"""


def html_page(records: Sequence[dict[str, Any]]) -> str:
    """
    Return the page.

    Parameters
    ----------
    records : sequence of dict
        As ``measure`` returns them, with ``machine``.

    Returns
    -------
    str
        HTML that loads nothing.

    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>gpu_perception bench</title><style>{STYLE}</style></head><body>',
        '<h1>gpu_perception bench</h1>',
    ]
    if records:
        on_cpu = any(record['machine']['device'] == 'cpu' for record in records)
        parts.append(NOTES.format(**records[0]['plan'], device=ON_CPU if on_cpu else ''))
        parts += _machines(records)
    for group in dict.fromkeys(record['group'] for record in records):
        parts += _group(group, [record for record in records if record['group'] == group])
    return ''.join([*parts, '</body></html>\n'])


def _machines(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line per machine and date, of which there may be several in one folder."""
    lines = dict.fromkeys(
        f'{record["date"][:10]}: '
        + ', '.join(f'{key} {value}' for key, value in record['machine'].items() if value != '')
        for record in records
    )
    yield from (f'<p><small>{escape(line)}</small></p>' for line in lines)


def _group(group: str, records: list[dict[str, Any]]) -> Iterator[str]:
    yield f'<h2>{escape(group)}</h2>'
    for key, title in (('at_peak', 'At the peak'), ('at_common_rate', 'At a common rate')):
        yield f'<h3>{title}</h3>'
        yield _table(COLUMNS, [row for record in records for row in rows(record, key)])
    yield '<h3>Cost</h3>'
    yield _table(COST_COLUMNS, [costs(record) for record in records])
    yield '<div class="plots">'
    yield line_plot(
        'Lost pictures, worst output',
        Axis('Hz asked for', log=True),
        Axis('part that is missing'),
        {contender(record): _of_probes(record, _loss) for record in records},
    )
    yield line_plot(
        'Median latency, slowest output',
        Axis('Hz asked for', log=True),
        Axis('ms', log=True),
        {contender(record): _of_probes(record, _slowest) for record in records},
    )
    outputs = dict.fromkeys(
        output for record in records for output in record['at_common_rate']['latency_quantiles_ms']
    )
    for output in outputs:
        yield line_plot(
            f'{output}: latency at the common rate',
            Axis('% of the messages'),
            Axis('ms', log=True),
            {contender(record): _quantiles(record, output) for record in records},
        )
    yield '</div>'
    yield _drops(records)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = ''.join(f'<th>{escape(heading)}</th>' for heading in headings)
    body = ''.join(
        '<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in line) + '</tr>' for line in lines
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _of_probes(record: dict[str, Any], value: Any) -> Points:
    """Return a value over the rate, for the probes in which the publisher kept it."""
    points = [
        (probe['requested_hz'], value(probe))
        for probe in record['probes']
        if probe['verdict'] != 'publisher'
    ]
    return sorted(point for point in points if point[1] is not None)


def _loss(probe: dict[str, Any]) -> float:
    return float(probe['loss'])


def _slowest(probe: dict[str, Any]) -> float | None:
    medians = [latency['P50'] for latency in probe['latency_ms'].values() if latency]
    return max(medians, default=None)


def _quantiles(record: dict[str, Any], output: str) -> Points:
    quantiles = record['at_common_rate']['latency_quantiles_ms'].get(output, [])
    return [(100.0 * i / (len(quantiles) - 1), value) for i, value in enumerate(quantiles)]


def _drops(records: Sequence[dict[str, Any]]) -> str:
    """Return a table of what containers lost in all probes together, by cause."""
    lines = []
    for record in records:
        causes: dict[tuple[str, str], int] = {}
        for probe in record['probes']:
            for topic, drops in probe['drops'].items():
                for cause, count in drops.items():
                    causes[topic, cause] = causes.get((topic, cause), 0) + count
        lines += [
            (contender(record), topic, cause, str(n)) for (topic, cause), n in causes.items()
        ]
    if not lines:
        return ''
    headings = ('contender', 'output', 'cause', 'pictures, all probes')
    return '<h3>Where pictures were lost</h3>' + _table(headings, lines)
