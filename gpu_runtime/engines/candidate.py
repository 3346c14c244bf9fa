# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""A backend that was tried, and what was found out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """
    A backend that was tried.

    Parameters
    ----------
    backend : str
        Its name.
    ms : float
        Median time of one call, in milliseconds; 0 if it was not measured.
    error : float
        As :class:`Agreement` has it.
    limit : float
        Largest error that the precision allows.
    remark : str
        What people should know of it.
    problem : str
        Why it cannot be used; empty if it can.

    """

    backend: str
    ms: float = 0.0
    error: float = 0.0
    limit: float = 0.0
    remark: str = ''
    problem: str = ''

    @property
    def usable(self) -> bool:
        """Whether it works and agrees."""
        return self.error <= self.limit and not self.problem

    def __str__(self) -> str:
        text = self.problem
        if not text:
            text = f'{self.ms:.3g} ms, ' if self.ms else ''
            text += f'error {self.error:.1e} of {self.limit:.1e} allowed'
        return f'{self.backend}: {text}' + (f'; {self.remark}' if self.remark else '')


def fastest(candidates: Iterable[Candidate]) -> Candidate | None:
    """
    Choose a backend.

    Parameters
    ----------
    candidates : iterable of Candidate
        What was tried.

    Returns
    -------
    Candidate or None
        The fastest of those that work and agree; None if none does.

    """
    return min((c for c in candidates if c.usable), key=lambda c: c.ms, default=None)
