# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass

OK = 'ok'
WARNING = 'warning'
ERROR = 'error'


@dataclass(frozen=True)
class Finding:
    """
    What was found about one thing.

    Parameters
    ----------
    name : str
        The thing, in a word or two.
    level : str
        ``ok``; ``warning``: something works slower or not at all, but the rest does;
        ``error``: the container will not do its work.
    text : str
        What there is.
    remedy : str
        What to do about it; empty exactly when the level is ``ok``.

    Raises
    ------
    ValueError
        If there is a remedy without a complaint, or the reverse.

    """

    name: str
    level: str
    text: str
    remedy: str = ''

    def __post_init__(self) -> None:
        if (self.level == OK) == bool(self.remedy):
            raise ValueError(f'{self.name}: level {self.level} with remedy {self.remedy!r}')
