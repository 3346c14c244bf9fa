# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The report of the benchmark: a page that stands alone, plots, tables, options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from gpu_components.bench import run
from gpu_components.bench.arguments import add_arguments
from gpu_components.bench.arguments import plan_options
from gpu_components.bench.html_page import html_page
from gpu_components.bench.plan import Plan
from gpu_components.bench.plan import QUICK
from gpu_components.bench.run import report
from gpu_components.bench.svg_plot import Axis
from gpu_components.bench.svg_plot import line_plot
from gpu_components.cli import main

TOPIC = '/bench/camera_0/processed_image'


def record(contender: str, rate_hz: float) -> dict[str, Any]:
    """Return a record as a run leaves it, of a scenario with one output."""
    latency = {'P50': 1.5, 'P95': 2.0, 'P99': 2.5, 'MAX': 3.0}
    found = {
        'rate_hz': rate_hz,
        'outputs': {TOPIC: {'BasicPerformanceMetrics.MEAN_JITTER': 0.25}},
        'latency_ms': {'processed_image': latency},
        'latency_quantiles_ms': {'processed_image': [1.0, 1.5, 3.0]},
        'cpu_ms_per_frame': {contender: 4.0, 'publisher': 1.0, 'monitor': 2.0},
        'timings_ms': {},
    }
    probes = [
        {'requested_hz': hz, 'verdict': verdict, 'loss': loss, 'drops': drops}
        | {'latency_ms': {'processed_image': latency}}
        for hz, verdict, loss, drops in (
            (5.0, 'sustained', 0.0, {}),
            (20.0, 'lost', 0.5, {TOPIC: {'stage_overflow': 7}}),
            (900.0, 'publisher', 0.9, {}),
        )
    ]
    return {
        'name': f'image_processor-64x48-{contender}',
        'group': 'image_processor-64x48',
        'scenario': {'contender': contender, 'source': 'ros'},
        'plan': {'seconds': 5.0, 'repeats': 5, 'loss': 0.01, 'resolution': 0.05},
        'date': '2026-01-02T03:04:05+00:00',
        'machine': {'device': 'cpu', 'cpu': 'a <fast> one', 'cuda': ''},
        'BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION': rate_hz,
        'limit': 'lost',
        'at_peak': found if rate_hz else {},
        'at_common_rate': {**found, 'rate_hz': 5.0},
        'set_parameters_ms': {'requests': 20, **latency},
        'memory': {
            'device_bytes': 3 << 20,
            'torch_device_bytes': None,
            'pinned_bytes': None,
            'resident_bytes': {contender: 5 << 20},
        },
        'probes': probes,
    }


class Outline(HTMLParser):
    """Checks that elements close in order, and collects what the page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.counts: dict[str, int] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.loads += [(k, v) for k, v in attrs if k in ('src', 'href', 'srcset', 'data')]
        if tag != 'meta':
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_stands_alone() -> None:
    """Well-formed, no script, nothing loaded, and the CPU's figures marked as such."""
    page = html_page([record('container', 30.0), record('naive_tuned', 0.0)])
    outline = Outline(page)
    assert outline.open == []
    assert outline.loads == []
    assert 'script' not in outline.counts
    assert 'url(' not in page and '@import' not in page
    assert outline.counts['svg'] == 3
    text = ' '.join(outline.texts)
    assert 'Measured on a CPU' in text
    assert 'a <fast> one' in text
    assert 'no rate was sustained' in text
    assert 'stage_overflow' in text


def test_a_publisher_that_fell_behind_is_not_plotted() -> None:
    """Its pictures were not lost by whoever was measured."""
    (svg,) = (
        part for part in html_page([record('container', 30.0)]).split('<svg') if 'Lost' in part
    )
    (line,) = ElementTree.fromstring('<svg' + svg.partition('</svg>')[0] + '</svg>').iter(
        'polyline'
    )
    assert len(line.attrib['points'].split(',')) == 2


def test_an_empty_page_and_an_empty_plot_say_so() -> None:
    assert Outline(html_page([])).open == []
    drawn = line_plot('Loss', Axis('Hz', log=True), Axis('part'), {'a': [(0.0, 1.0)]})
    assert 'nothing was measured' in drawn


def test_lines_are_drawn_to_scale() -> None:
    """Equal factors are equal distances on a logarithmic axis; larger values are higher."""
    svg = line_plot('T', Axis('x', log=True), Axis('y'), {'a': [(1, 0), (10, 5), (100, 10)]})
    root = ElementTree.fromstring(svg)
    (line,) = root.iter('polyline')
    points = [tuple(map(float, p.split())) for p in line.attrib['points'].split(', ')]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and x0 < x1
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and y0 > y1
    texts = [element.text for element in root.iter('text')]
    assert {'10', '100', 'x', 'y', 'a'} <= set(texts)


def test_the_report_gathers_all_records_of_a_folder(tmp_path: Path) -> None:
    """Of earlier runs too, since one run may be too long."""
    (tmp_path / 'scenarios').mkdir()
    for contender in ('container', 'naive_tuned'):
        content = record(contender, 30.0)
        (tmp_path / 'scenarios' / f'{content["name"]}.json').write_text(json.dumps(content))
    console = Console(width=140, record=True, quiet=True)
    report(tmp_path, console)
    found = json.loads((tmp_path / 'bench.json').read_text())
    assert [s['scenario']['contender'] for s in found['scenarios']] == ['container', 'naive_tuned']
    assert 'naive tuned' in (tmp_path / 'bench.html').read_text()


def test_options_become_the_plan() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = '--sizes 64x48,80x60 --cameras 1,2 --contenders container --repeats 2 --loss 0.5'
    plan = Plan(**plan_options(parser.parse_args(given.split())))
    assert plan.sizes == ((64, 48), (80, 60))
    assert (plan.cameras, plan.contenders, plan.repeats) == ((1, 2), ('container',), 2)
    assert plan.loss == 0.5
    assert plan.seconds == Plan().seconds


def test_refused_options_name_the_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = ['--out', str(tmp_path)]
    assert main(['bench', '--contenders', 'other', *out]) == 2
    assert 'naive_one_process' in capsys.readouterr().err
    assert main(['bench', '--quick', '--rivals', str(tmp_path / 'no.py'), *out]) == 2
    assert '--rivals' in capsys.readouterr().err
    assert main(['bench', '--quick', '--list']) == 0
    assert capsys.readouterr().out.split() == [
        'all-160x120-container',
        'all-160x120-naive_one_process',
    ]


def test_a_record_is_kept_before_its_processes_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever interrupts their end has it."""

    @contextmanager
    def impatient(*_: Any) -> Iterator[dict[str, Any]]:
        yield record('container', 12.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, 'measured', impatient)
    monkeypatch.setattr(run, '_setup', lambda *_: SimpleNamespace(arithmetic='fp32'))
    plan = replace(QUICK, only=('all-160x120-container',))
    with pytest.raises(KeyboardInterrupt):
        run.run_bench(plan, tmp_path, device='cpu', console=Console(file=StringIO()))
    kept = json.loads((tmp_path / 'scenarios' / 'all-160x120-container.json').read_text())
    assert kept['BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION'] == 12.0
    assert kept['precision'] == 'fp32'
