# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The lines that tables show of a scenario's record, on paper and on the page alike."""

from __future__ import annotations

from typing import Any

MIB = 1 << 20
COLUMNS = (
    'contender',
    'peak Hz',
    'limit',
    'output',
    'p50 ms',
    'p95 ms',
    'p99 ms',
    'max ms',
    'jitter ms',
)


def rows(record: dict[str, Any], key: str) -> list[tuple[str, ...]]:
    """
    Return the lines of one scenario.

    Parameters
    ----------
    record : dict
        As ``measure`` returns it.
    key : str
        ``at_peak`` or ``at_common_rate``.

    Returns
    -------
    list of tuple of str
        A line per output, in the order of :data:`COLUMNS`; one that says so without any.

    """
    name = contender(record)
    found = record[key]
    limit = record['limit'] if key == 'at_peak' else ''
    if not found:
        return [(name, '0', limit, 'no rate was sustained', *['-'] * 5)]
    lines: list[tuple[str, ...]] = []
    for output, latency in found['latency_ms'].items():
        jitters = [
            metrics.get('BasicPerformanceMetrics.MEAN_JITTER')
            for topic, metrics in found['outputs'].items()
            if topic.endswith(f'/{output}')
        ]
        known = [jitter for jitter in jitters if jitter is not None]
        values = [latency.get(p) for p in ('P50', 'P95', 'P99', 'MAX')]
        values.append(sum(known) / len(known) if known else None)
        first = (name, f'{found["rate_hz"]:.1f}', limit) if not lines else ('', '', '')
        lines.append((*first, output, *map(number, values)))
    return lines


def contender(record: dict[str, Any]) -> str:
    """
    Return who was measured, with the source of the pictures if that is not ROS.

    Parameters
    ----------
    record : dict
        As ``measure`` returns it.

    Returns
    -------
    str
        For people.

    """
    scenario = record['scenario']
    suffix = '' if scenario['source'] == 'ros' else ', camera in process'
    return f'{scenario["contender"].replace("_", " ")}{suffix}'


def number(value: float | None, digits: int = 1) -> str:
    """
    Return a figure, or a dash for none.

    Parameters
    ----------
    value : float or None
        The figure.
    digits : int
        After the point.

    Returns
    -------
    str
        For people.

    """
    return '-' if value is None else f'{value:.{digits}f}'


def costs(record: dict[str, Any]) -> tuple[str, ...]:
    """
    Return what a scenario took.

    Parameters
    ----------
    record : dict
        As ``measure`` returns it.

    Returns
    -------
    tuple of str
        Contender, CPU per frame of its processes and in detail, device, pinned and host memory,
        parameter answers.

    """
    found = record['at_peak'] or record['at_common_rate']
    spent = found['cpu_ms_per_frame']
    others = ('publisher', 'monitor')
    own = {name: ms for name, ms in spent.items() if not name.startswith(others)}
    memory = record['memory']
    answers = record['set_parameters_ms']
    return (
        contender(record),
        number(sum(own.values())),
        ', '.join(f'{name} {ms:.1f}' for name, ms in spent.items()),
        _mib(memory['device_bytes']),
        _mib(memory['pinned_bytes']),
        _mib(sum(memory['resident_bytes'].values())),
        f'{answers["P50"]:.1f} / {answers["MAX"]:.1f}' if answers['requests'] else '-',
    )


COST_COLUMNS = (
    'contender',
    'CPU ms a frame',
    'of each process',
    'device MiB',
    'pinned MiB',
    'host MiB',
    'param set p50 / max ms',
)


def _mib(nbytes: float | None) -> str:
    return number(None if nbytes is None else nbytes / MIB, 0)
