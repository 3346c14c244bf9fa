# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs all checks and prints what they found."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from gpu_components.doctor import gpu_checks
from gpu_components.doctor import library_checks
from gpu_components.doctor import middleware_checks
from gpu_components.doctor import ros_checks
from gpu_components.doctor.finding import ERROR
from gpu_components.doctor.finding import Finding
from gpu_components.doctor.finding import OK
from gpu_components.doctor.finding import WARNING

Check = Callable[[], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    *library_checks.CHECKS,
    *gpu_checks.CHECKS,
    *ros_checks.CHECKS,
    *middleware_checks.CHECKS,
)

COLOURS = {OK: 'green', WARNING: 'yellow', ERROR: 'bold red'}


def run_doctor(
    *,
    as_json: bool = False,
    checks: Sequence[Check] = CHECKS,
    console: Console | None = None,
) -> int:
    """
    Print what this machine has and lacks.

    Parameters
    ----------
    as_json : bool
        Print one JSON object instead of lines.
    checks : sequence of callable
        Each yields findings; one that fails is a finding itself.
    console : rich.console.Console, optional
        Where to write; default the standard output.

    Returns
    -------
    int
        0; 1 if there is an error.  Takes seconds.

    """
    console = console or Console()
    found: list[Finding] = []
    for finding in findings(checks):
        found.append(finding)
        if not as_json:
            _print(console, finding)
    counts = {level: sum(f.level == level for f in found) for level in COLOURS}
    if as_json:
        report = {'counts': counts, 'findings': [asdict(finding) for finding in found]}
        console.print_json(data=report)
    else:
        console.print(', '.join(f'{count} {level}' for level, count in counts.items()))
    return 1 if counts[ERROR] else 0


def findings(checks: Iterable[Check]) -> Iterator[Finding]:
    """
    Run checks, whatever happens to them.

    Parameters
    ----------
    checks : iterable of callable
        Each yields findings.

    Yields
    ------
    Finding
        What a check found, or that it failed.

    """
    for check in checks:
        name = getattr(check, '__name__', 'check').replace('_', ' ')
        try:
            yield from check()
        except Exception as error:
            remedy = 'repair what the message names, then run the doctor again'
            yield Finding(name, ERROR, f'{type(error).__name__}: {error}', remedy)


def _print(console: Console, finding: Finding) -> None:
    colour = COLOURS[finding.level]
    line = Text.assemble(
        (f'{finding.level:7s}', colour), '  ', (finding.name, 'bold'), f': {finding.text}'
    )
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f'         → {finding.remedy}'), soft_wrap=True)
