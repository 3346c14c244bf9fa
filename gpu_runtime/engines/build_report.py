# Copyright 2026 The gpu_perception Authors
# SPDX-License-Identifier: Apache-2.0
"""
What a process that builds has found out so far, and what it is trying.

Protocol: the builder writes it before and after each compiler, since one that crashes takes the
process along.  Who started the builder reads it then, blames the compiler and starts the next
builder, which goes on from it.
"""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import dataclass
import json
from pathlib import Path

from gpu_runtime.engines.candidate import Candidate

REPORT = 'report.json'


@dataclass(frozen=True)
class BuildReport:
    """
    How far a build is.

    Parameters
    ----------
    candidates : tuple of Candidate
        What was tried.
    trying : str
        The compiler that builds or loads at this moment; empty if none does.
    complete : bool
        Whether everything was tried and measured.

    """

    candidates: tuple[Candidate, ...] = ()
    trying: str = ''
    complete: bool = False

    @classmethod
    def read(cls, folder: Path) -> BuildReport:
        """
        Read what :meth:`write` wrote last.

        Parameters
        ----------
        folder : Path
            Of the build.

        Returns
        -------
        BuildReport
            An empty one if none was written.

        """
        try:
            data = json.loads((folder / REPORT).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return cls()
        found = tuple(Candidate(**candidate) for candidate in data.pop('candidates'))
        return cls(found, **data)

    def write(self, folder: Path) -> None:
        """
        Write the report in one step, so that a process that dies leaves this one or the last.

        Parameters
        ----------
        folder : Path
            Of the build.

        """
        aside = folder / f'{REPORT}.aside'
        aside.write_text(json.dumps(asdict(self)), encoding='utf-8')
        aside.replace(folder / REPORT)

    def blame(self, problem: str) -> BuildReport:
        """
        Return the report with what was being tried as failed.

        Parameters
        ----------
        problem : str
            What became of the process; what the compiler said itself goes before it.

        Returns
        -------
        BuildReport
            Nothing is being tried in it.

        """
        known = {candidate.backend: candidate for candidate in self.candidates}
        said = known[self.trying].problem if self.trying in known else ''
        known[self.trying] = Candidate(self.trying, problem=said or problem)
        return BuildReport(tuple(known.values()))
