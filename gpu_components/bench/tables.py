# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""The tables that a person reads after the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gpu_components.bench.record_rows import COLUMNS
from gpu_components.bench.record_rows import COST_COLUMNS
from gpu_components.bench.record_rows import costs
from gpu_components.bench.record_rows import rows


def print_tables(records: Sequence[dict[str, Any]], console: Console) -> None:
    """
    Print one table per group of scenarios.

    Parameters
    ----------
    records : sequence of dict
        As ``measure`` returns them.
    console : rich.console.Console
        Where to write.

    """
    for group in dict.fromkeys(record['group'] for record in records):
        members = [record for record in records if record['group'] == group]
        for key, title in (('at_peak', 'at the peak'), ('at_common_rate', 'at a common rate')):
            table = Table(title=f'{group}, {title}', title_justify='left', box=SIMPLE_HEAD)
            for number, heading in enumerate(COLUMNS):
                table.add_column(heading, justify='left' if number in (0, 2, 3) else 'right')
            for record in members:
                for row in rows(record, key):
                    table.add_row(*row)
            console.print(table)
        console.print(_costs(members))


def _costs(records: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in COST_COLUMNS:
        table.add_column(heading)
    for record in records:
        table.add_row(*costs(record))
    return table
