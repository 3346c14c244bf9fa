# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""When cached memory goes back to the device: on need, and seldom."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runtime.device_budget import BudgetReport


@dataclass(frozen=True)
class TrimPolicy:
    """
    Rule for trimming by itself.

    Giving memory back makes the device wait, and what was given back must be taken again: so it
    happens when the device is nearly full or a limit is broken, not regularly.

    Parameters
    ----------
    high_watermark : float
        Part of the card, or of the process's cap, above which to trim: 0 to 1; 0 for never.
    rest_s : float
        Shortest time between two trims in seconds.

    """

    high_watermark: float
    rest_s: float

    def due(self, report: BudgetReport, since_trim_s: float) -> bool:
        """
        Return whether to trim now.

        Parameters
        ----------
        report : BudgetReport
            What is held now.
        since_trim_s : float
            Seconds since the last trim.

        Returns
        -------
        bool
            False while nothing could be returned.

        """
        if not self.high_watermark or not report.cached or since_trim_s < self.rest_s:
            return False
        return report.used_fraction > self.high_watermark or bool(report.over_limit())
